// SPDX-License-Identifier: Apache-2.0
// The process's side of hr_dataset_map_process, for programs of the user: a door to exec/udf_serve.c, which does the
// work and may not see this room's public header.
#include "base/option.h"
#include "exec/exec.h"
#include <headrace/dataset.h>

hr_status hr_function_serve(const hr_function_server *server, hr_error *err)
{
    hr_function_server given;
    HR_TRY(hr__options_copy("function server", server, &given, sizeof given, err));
    if (!given.function)
        return HR_FAIL(err, HR_INVALID, "hr_function_serve: no function to call");
    const hr_udf_server inner = {given.begin, given.function, given.context};
    return hr__udf_serve(&inner, err);
}

const void *hr_user_error_details(size_t *bytes_out)
{
    size_t count = 0;
    const void *details = hr__udf_get_details(&count);
    if (bytes_out)
        *bytes_out = count;
    return details;
}
