// SPDX-License-Identifier: Apache-2.0
// What a chain computes, as a number: equal for chains that were built alike, in this process or another, and another
// one as soon as a column, an operation, a literal, a name or the order of the outputs differs. It is made of the
// normal form, so it does not tell how the steps were written; node numbers and addresses are not in it.
#include "base/hash.h"
#include "expr/expr_graph.h"
#include "expr/expr_program.h"

#include <string.h>

// `digests` has those of all nodes before it: arguments have smaller numbers.
static uint64_t node_digest(const hr_graph *g, const hr_node *n, const uint64_t *digests)
{
    bool literal = n->op == HR_NODE_LITERAL;
    const int64_t members[] = {n->op,
                               n->sub,
                               n->cls,
                               n->num,
                               n->of,
                               n->is_tensor,
                               n->row_values,
                               n->arg_count,
                               n->list_count,
                               n->null_error,
                               literal ? n->literal.i : 0,
                               literal && n->nullable};
    uint64_t h = hr__types_hash(&n->type, hr__hash64(members, sizeof members, 0));
    if (n->op == HR_NODE_COLUMN) {
        const char *name = hr_schema_field(g->source, n->column)->name;
        h = hr__hash64(name, strlen(name), h);
    }
    if (n->text)
        h = hr__hash64(n->text->text, strlen(n->text->text), h);
    for (int32_t i = 0; i < n->arg_count; i++)
        h = hr__hash64(&digests[n->args[i]], sizeof *digests, h);
    for (int32_t i = 0; i < n->list_count; i++)
        h = hr__hash64(&digests[n->list[i]], sizeof *digests, h);
    if (n->op == HR_NODE_PACK)
        h = hr__hash64(&n->null_fill, sizeof n->null_fill, h);
    return h;
}

hr_status hr__chain_digest(const hr_chain *chain, uint64_t before, uint64_t *out, hr_error *err)
{
    const hr_graph *g = &chain->graph;
    uint64_t *digests, h = before;
    HR_TRY(hr__alloc_zero(HR_MAX(g->nodes.count, 1), sizeof *digests, &digests, err));
    for (size_t i = 0; i < g->nodes.count; i++)
        digests[i] = node_digest(g, &g->nodes.items[i], digests);
    if (chain->predicate >= 0)
        h = hr__hash64(&digests[chain->predicate], sizeof *digests, h);
    for (size_t i = 0; i < chain->outputs.count; i++) {
        const hr_output *o = &chain->outputs.items[i];
        h = hr__hash64(o->name, strlen(o->name) + 1, h);
        h = hr__hash64(&digests[o->node], sizeof *digests, h);
    }
    hr__free(digests);
    *out = h;
    return HR_OK;
}
