# SPDX-License-Identifier: Apache-2.0
"""feature_columns of to_torch and to_tf: which columns become which arrays, and which of those C lays side by side."""

from . import _core, _types as t


class Groups:
    """keys: None for one group, a number for a list of groups, a list for a dict's. groups: the columns of each; None: all but
    the label, known once the schema is."""

    def __init__(self, columns, label):
        if label is not None and not isinstance(label, str):
            raise TypeError(f'label_column {label!r}: the name of one column')
        self.label = label
        self.keys, self.groups = _parsed(columns)

    def resolve(self, names):
        """Called once the columns' names are known."""
        if self.groups[0] is None:
            self.groups = [[name for name in names if name != self.label]]

    def check(self, names):
        """NotFoundError where one is asked for that is not there."""
        self.resolve(names)
        for what, columns in [('label_column', [self.label] if self.label else []),
                              *(('feature_columns', group) for group in self.groups)]:
            for name in columns:
                if name not in names:
                    raise _core.NotFoundError(f'{what}: no column {name!r}; there are: {", ".join(names)}')

    def shaped(self, made, sequence):
        """An array for each group, in the structure of feature_columns."""
        if self.keys is None:
            return made[0]
        return sequence(made) if isinstance(self.keys, int) else dict(zip(self.keys, made))

    def packed(self, source, nulls, kind_of):
        """(source, {group: column}): the source with groups laid side by side where it can do that and the type is known.

        kind_of(group, types): the name of the type that these columns have together.
        """
        kinds = {name: kind for name, _, kind, _ in source.schema().fields()} if hasattr(source, 'schema') else None
        if kinds is None:
            return source, {}
        self.check(kinds)
        packs = {}
        for i, columns in enumerate(self.groups):
            members = [kinds.get(c) for c in columns]
            if len(set(columns)) < max(2, len(columns)) or any(k not in t.NUMBERS for k in members):
                continue
            kind = t.BY_NAME.get(kind_of(i, members))
            same = all(k == kind for k in members) and kind in t.INTEGERS and nulls != 'nan'
            if kind in (t.FLOAT32, t.FLOAT64) or same:
                packs[i] = (columns, f'features {i}', kind)
        loose = [c for i, columns in enumerate(self.groups) if i not in packs for c in columns]
        loose += [self.label] if self.label else []
        made = source._packing(list(packs.values()), nulls, list(dict.fromkeys(loose)))
        return (source, {}) if made is None else (made, {i: name for i, (_, name, _) in packs.items()})


def _parsed(columns):
    if not columns:
        return None, [None]
    if isinstance(columns, str):
        return None, [[columns]]
    if isinstance(columns, dict):
        keys, groups = list(columns), [[g] if isinstance(g, str) else g for g in columns.values()]
    elif all(isinstance(c, str) for c in columns):
        return None, [list(columns)]
    else:
        keys, groups = len(columns), list(columns)
    if any(isinstance(g, str) or not g for g in groups):
        raise ValueError(f'feature_columns {columns!r}: a list of names, a list of lists of names, or a dict of lists; '
                         'none of them empty')
    return keys, [list(g) for g in groups]
