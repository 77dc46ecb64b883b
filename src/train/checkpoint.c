// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include "base/os.h"
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECKPOINT_VERSION   1
#define CHECKPOINT_BYTES_MAX ((size_t)4 << 20)
#define POSITIONS_MAX        1024u

static const char prefix[] = "checkpoint_";

const char *hr__checkpoint_name(int64_t number, char buffer[HR_CHECKPOINT_NAME_BYTES])
{
    snprintf(buffer, HR_CHECKPOINT_NAME_BYTES, "%s%06lld", prefix, (long long)number);
    return buffer;
}

bool hr__checkpoint_number(const char *name, int64_t *out)
{
    size_t digits = 0;
    int64_t number = 0;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    for (const char *at = name + sizeof prefix - 1; *at; at++, digits++) {
        if (*at < '0' || *at > '9' || digits >= 15)
            return false;
        number = number * 10 + (*at - '0');
    }
    *out = number;
    return digits >= 6;
}

// --- writing ---

void hr__checkpoint_print(const hr_checkpoint *c, const char *metrics, hr_text *out)
{
    char text[HR_POSITION_BYTES_MAX];
    json_error_t where;
    hr__text_add(out,
                 "{\"headrace\": \"checkpoint\", \"version\": %d, \"rank\": %lld, "
                 "\"world_size\": %lld",
                 CHECKPOINT_VERSION, (long long)c->rank, (long long)c->world_size);
    const hr_position *first = hr__checkpoint_position(c, "train");
    if (!first && c->positions.count > 0)
        first = &c->positions.items[0].position;
    if (first)
        hr__text_add(out, ", \"epoch\": %lld, \"step\": %lld", (long long)first->epoch,
                     (long long)first->step);
    hr__text_add(out, ", \"metrics\": ");
    json_t *parsed = json_loads(metrics, JSON_DECODE_ANY, &where);
    if (parsed)
        hr__text_add(out, "%s", metrics);
    else
        hr__text_json(out, metrics, strlen(metrics));
    json_decref(parsed);
    hr__text_add(out, ", \"positions\": {");
    for (size_t i = 0; i < c->positions.count; i++) {
        const hr_named_position *p = &c->positions.items[i];
        hr__text_add(out, "%s", i > 0 ? ", " : "");
        hr__text_json(out, p->name, strlen(p->name));
        hr__text_add(out, ": %s", hr_position_print(&p->position, text));
    }
    hr__text_add(out, "}}\n");
}

// --- reading ---

static hr_status load(const char *folder, json_t **out, hr_error *err)
{
    char *text = NULL, *path = NULL;
    size_t room = strlen(folder) + sizeof "/" HR_CHECKPOINT_FILE, bytes = 0;
    int fd = -1;
    hr_status status;
    json_error_t where;
    HR_GO(hr__alloc(room, &path, err));
    snprintf(path, room, "%s/%s", folder, HR_CHECKPOINT_FILE);
    HR_GO(hr__open_file(path, O_RDONLY, 0, &fd, err));
    HR_GO(hr__alloc(CHECKPOINT_BYTES_MAX + 1, &text, err));
    HR_GO(hr__pread_full(fd, text, CHECKPOINT_BYTES_MAX + 1, 0, &bytes, err));
    if (bytes > CHECKPOINT_BYTES_MAX)
        status = HR_FAIL(err, HR_LIMIT, "'%s' has more than %zu bytes", path, CHECKPOINT_BYTES_MAX);
    else if (!(*out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where)))
        status = HR_FAIL(err, HR_CORRUPT, "'%s' is not JSON: line %d, column %d: %s", path,
                         where.line, where.column, where.text);
out:
    hr__close_fd(&fd);
    hr__free(text);
    hr__free(path);
    return status;
}

static hr_status read_head(const json_t *root, const char *folder, hr_checkpoint *out,
                           hr_error *err)
{
    const char *kind = json_string_value(json_object_get(root, "headrace"));
    const json_t *version = json_object_get(root, "version");
    if (!kind || strcmp(kind, "checkpoint") != 0 || !json_is_integer(version))
        return HR_FAIL(err, HR_CORRUPT, "'%s/%s' is not that of a checkpoint", folder,
                       HR_CHECKPOINT_FILE);
    if (json_integer_value(version) != CHECKPOINT_VERSION)
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "'%s' is a checkpoint of version %lld; this release reads version %d",
                       folder, (long long)json_integer_value(version), CHECKPOINT_VERSION);
    out->rank = json_integer_value(json_object_get(root, "rank"));
    out->world_size = json_integer_value(json_object_get(root, "world_size"));
    return HR_OK;
}

static hr_status read_positions(json_t *root, const char *folder, hr_checkpoint *out, hr_error *err)
{
    json_t *positions = json_object_get(root, "positions"), *value;
    const char *name;
    if (json_object_size(positions) > POSITIONS_MAX)
        return HR_FAIL(err, HR_LIMIT, "'%s' has positions of %zu datasets; %u are allowed", folder,
                       json_object_size(positions), POSITIONS_MAX);
    json_object_foreach(positions, name, value)
    {
        hr_named_position item = {.name = ""};
        char text[HR_POSITION_BYTES_MAX];
        size_t bytes = json_dumpb(value, text, sizeof text - 1, JSON_COMPACT);
        if (strlen(name) > HR_WIRE_NAME_MAX || bytes == 0 || bytes >= sizeof text)
            return HR_FAIL(err, HR_CORRUPT, "'%s/%s': the position of '%.200s' is none", folder,
                           HR_CHECKPOINT_FILE, name);
        text[bytes] = '\0';
        memcpy(item.name, name, strlen(name) + 1);
        hr_status status = hr_position_parse(text, &item.position, err);
        if (status != HR_OK) {
            hr__error_context(err, "'%s/%s': dataset '%s'", folder, HR_CHECKPOINT_FILE, name);
            return status;
        }
        HR_TRY(HR_VEC_PUSH(&out->positions, item, err));
    }
    return HR_OK;
}

static bool number_of(const json_t *metrics, const char *name, double *out)
{
    const json_t *value = name ? json_object_get(metrics, name) : NULL;
    if (!json_is_number(value))
        return false;
    *out = json_number_value(value);
    return true;
}

bool hr__metric_of(const char *metrics, const char *name, double *out)
{
    json_error_t where;
    json_t *root = name ? json_loads(metrics, 0, &where) : NULL;
    bool found = number_of(root, name, out);
    json_decref(root);
    return found;
}

hr_status hr__checkpoint_read(const char *folder, const char *metric, hr_checkpoint *out,
                              hr_error *err)
{
    json_t *root = NULL;
    const char *slash = strrchr(folder, '/');
    *out = (hr_checkpoint){.number = -1};
    HR_TRY(load(folder, &root, err));
    if (!hr__checkpoint_number(slash ? slash + 1 : folder, &out->number))
        out->number = -1;
    hr_status status = read_head(root, folder, out, err);
    if (status == HR_OK)
        status = read_positions(root, folder, out, err);
    if (status == HR_OK)
        out->has_score = number_of(json_object_get(root, "metrics"), metric, &out->score);
    else
        hr__checkpoint_finish(out);
    json_decref(root);
    return status;
}

void hr__checkpoint_finish(hr_checkpoint *checkpoint)
{
    HR_VEC_FINISH(&checkpoint->positions);
}

const hr_position *hr__checkpoint_position(const hr_checkpoint *checkpoint, const char *dataset)
{
    for (size_t i = 0; i < checkpoint->positions.count; i++)
        if (strcmp(checkpoint->positions.items[i].name, dataset) == 0)
            return &checkpoint->positions.items[i].position;
    return NULL;
}

// --- finding ---

static void find_newest(void *context, const char *name)
{
    int64_t number, *newest = context;
    if (hr__checkpoint_number(name, &number))
        *newest = HR_MAX(*newest, number);
}

static bool has_file(const char *folder)
{
    char *path = NULL;
    struct stat info;
    size_t room = strlen(folder) + sizeof "/" HR_CHECKPOINT_FILE;
    if (hr__alloc(room, &path, NULL) != HR_OK)
        return false;
    snprintf(path, room, "%s/%s", folder, HR_CHECKPOINT_FILE);
    bool found = stat(path, &info) == 0;
    hr__free(path);
    return found;
}

hr_status hr__checkpoint_find(const char *folder, char **out, hr_error *err)
{
    char *real = NULL, name[HR_CHECKPOINT_NAME_BYTES];
    int64_t newest = -1;
    hr_status status;
    HR_TRY(hr__path_real(folder, &real, err));
    if (has_file(real)) {
        *out = real;
        return HR_OK;
    }
    HR_GO(hr__folder_list(real, find_newest, &newest, err));
    if (newest < 0) {
        status = HR_FAIL(err, HR_NOT_FOUND,
                         "'%s' is no checkpoint (it has no %s), and there is none in it", folder,
                         HR_CHECKPOINT_FILE);
        goto out;
    }
    size_t room = strlen(real) + 1 + HR_CHECKPOINT_NAME_BYTES;
    HR_GO(hr__alloc(room, out, err));
    snprintf(*out, room, "%s/%s", real, hr__checkpoint_name(newest, name));
out:
    hr__free(real);
    return status;
}

hr_status hr_checkpoint_find(const char *folder, char **out, hr_error *err)
{
    return hr__checkpoint_find(folder, out, err);
}
