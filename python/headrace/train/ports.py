# SPDX-License-Identifier: Apache-2.0
"""Ports of this machine that nobody listens on, for libraries whose workers find each other by one."""

import contextlib
import socket


def free_ports(count):
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):  # all are held until all are found, so that they differ
            s = stack.enter_context(socket.socket())
            s.bind(('127.0.0.1', 0))
            found.append(s.getsockname()[1])
        return found
