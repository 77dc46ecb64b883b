// SPDX-License-Identifier: Apache-2.0
// Save and load, as JSON:
//
//   {"headrace": "preprocessor", "version": 1, "class": "StandardScaler", "columns": ["a"], "type": "float64",
//    "stats": {"mean(a)": 1.5, "std(a)": 0.5, "count(a)": 2}}
//
// Numbers have 17 digits, so that what is loaded is what was saved; null stands for what is no number. What is read
// may come from anywhere: sizes and types are checked, and a chain holds no chain, so depth is bounded.
#include "prep/prep_parts.h"

#include <string.h>

#define SAVED_BYTES_MAX (64u << 20)
#define SAVED_VERSION   1

static const hr_prep_class *const classes[] = {&hr__prep_class_chain, &hr__prep_class_scaler,
                                               &hr__prep_class_map};

static hr_status fail_nomem(hr_error *err)
{
    return HR_FAIL(err, HR_NOMEM, "out of memory while saving a preprocessor");
}

hr_status hr__saved_set(json_t *into, const char *member, json_t *value, hr_error *err)
{
    if (!value || json_object_set_new(into, member, value) != 0)
        return fail_nomem(err);
    return HR_OK;
}

hr_status hr__saved_text(const json_t *from, const char *member, const char **out, hr_error *err)
{
    const json_t *value = json_object_get(from, member);
    if (!json_is_string(value))
        return HR_FAIL(err, HR_INVALID, "saved preprocessor: '%s' is not a string", member);
    *out = json_string_value(value);
    return HR_OK;
}

hr_status hr__saved_names(const json_t *from, const char *member, char ***out, int32_t *count_out,
                          hr_error *err)
{
    const json_t *list = json_object_get(from, member);
    if (!json_is_array(list) || json_array_size(list) > INT32_MAX)
        return HR_FAIL(err, HR_INVALID, "saved preprocessor: '%s' is not a list of names", member);
    size_t count = json_array_size(list);
    const char **names = NULL;
    HR_TRY(hr__alloc_zero(count + 1, sizeof *names, &names, err));
    hr_status status = HR_OK;
    for (size_t i = 0; i < count && status == HR_OK; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (!names[i])
            status = HR_FAIL(err, HR_INVALID, "saved preprocessor: '%s[%zu]' is not a string",
                             member, i);
    }
    if (status == HR_OK)
        status = hr__names_copy(names, out, count_out, err);
    hr__free(names);
    return status;
}

hr_status hr__saved_dump(json_t *value, char **out, hr_error *err)
{
    // Through our own allocator, so that hr_text_free frees it.
    size_t bytes = json_dumpb(value, NULL, 0, JSON_REAL_PRECISION(17));
    char *text = NULL;
    if (bytes == 0)
        return fail_nomem(err);
    HR_TRY(hr__alloc(bytes + 1, &text, err));
    size_t written = json_dumpb(value, text, bytes, JSON_REAL_PRECISION(17));
    text[HR_MIN(written, bytes)] = '\0';
    *out = text;
    return HR_OK;
}

hr_status hr__prep_to_json(const hr_prep *prep, json_t **out, hr_error *err)
{
    if (!prep->class_->save)
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "%s runs a function of the user, which cannot be saved as JSON: save the "
                       "others and make this one again",
                       prep->class_->name);
    hr_status status;
    json_t *object = json_object();
    if (!object)
        return fail_nomem(err);
    HR_GO(hr__saved_set(object, "headrace", json_string("preprocessor"), err));
    HR_GO(hr__saved_set(object, "version", json_integer(SAVED_VERSION), err));
    HR_GO(hr__saved_set(object, "class", json_string(prep->class_->name), err));
    HR_GO(prep->class_->save(prep, object, err));
    *out = object;
    object = NULL;
out:
    json_decref(object);
    return status;
}

hr_status hr__prep_from_json(const json_t *from, hr_prep **out, hr_error *err)
{
    const char *kind = NULL, *name = NULL;
    const json_t *version = json_object_get(from, "version");
    HR_TRY(hr__saved_text(from, "headrace", &kind, err));
    HR_TRY(hr__saved_text(from, "class", &name, err));
    if (strcmp(kind, "preprocessor") != 0)
        return HR_FAIL(err, HR_INVALID, "this is a saved %.40s, not a preprocessor", kind);
    if (!json_is_integer(version) || json_integer_value(version) != SAVED_VERSION)
        return HR_FAIL(err, HR_UNSUPPORTED,
                       "saved preprocessor of version %lld; this build reads version %d",
                       (long long)json_integer_value(version), SAVED_VERSION);
    for (size_t i = 0; i < HR_COUNTOF(classes); i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i]->load(from, out, err);
    return HR_FAIL(err, HR_UNSUPPORTED,
                   "saved preprocessor of class '%.60s', which this build "
                   "does not have",
                   name);
}

hr_status hr_prep_save(const hr_prep *prep, char **out, hr_error *err)
{
    json_t *object = NULL;
    HR_TRY(hr__prep_to_json(prep, &object, err));
    hr_status status = hr__saved_dump(object, out, err);
    json_decref(object);
    return status;
}

hr_status hr_prep_load(const char *json, hr_prep **out, hr_error *err)
{
    json_error_t where;
    size_t bytes = strlen(json);
    if (bytes > SAVED_BYTES_MAX)
        return HR_FAIL(err, HR_LIMIT, "saved preprocessor of %zu bytes, %u allowed", bytes,
                       SAVED_BYTES_MAX);
    json_t *object = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &where);
    if (!object)
        return HR_FAIL(err, HR_INVALID, "saved preprocessor: line %d, column %d: %s", where.line,
                       where.column, where.text);
    hr_status status = hr__prep_from_json(object, out, err);
    json_decref(object);
    return status;
}

hr_status hr_prep_learned(const hr_prep *prep, char **out, hr_error *err)
{
    json_t *object = NULL;
    HR_TRY(prep->class_->learned(prep, &object, err));
    hr_status status = hr__saved_dump(object, out, err);
    json_decref(object);
    return status;
}

// --- lists of names ---

void hr__names_free(char **names)
{
    for (char **n = names; n && *n; n++)
        hr__free(*n);
    hr__free(names);
}

hr_status hr__names_copy(const char *const *names, char ***out, int32_t *count_out, hr_error *err)
{
    size_t count = 0;
    char **copy = NULL;
    while (names && names[count])
        count++;
    HR_TRY(hr__alloc_zero(count + 1, sizeof *copy, &copy, err));
    for (size_t i = 0; i < count; i++) {
        hr_status status = hr__strdup(names[i], &copy[i], err);
        if (status != HR_OK) {
            hr__names_free(copy);
            return status;
        }
    }
    *out = copy;
    *count_out = (int32_t)count;
    return HR_OK;
}

void hr__names_print(char *const *names, hr_text *out)
{
    hr__text_char(out, '[');
    for (char *const *n = names; *n; n++)
        hr__text_add(out, "%s'%s'", n > names ? ", " : "", *n);
    hr__text_char(out, ']');
}
