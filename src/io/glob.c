// SPDX-License-Identifier: Apache-2.0
// Listings: what a pattern names, sorted by bytes so that the order of files is the same on every machine.
//
// A pattern is cut at its first name with a wildcard: what stands before is walked, and each path below is matched
// against the rest. Folders are walked with a stack of our own (their depth is somebody else's), never deeper than the
// pattern reaches. Symbolic links are followed, but a folder is not entered again from within itself: its files would
// be listed, and their rows read, many times.
#include "io/source.h"
#include "base/mem.h"
#include "base/vec.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 64

typedef struct entry {
    char *path;
    uint64_t bytes;
} entry;
typedef struct folder {
    char *path;
    int depth;
} folder;

typedef struct walk {
    HR_VEC(entry) files;
    HR_VEC(folder) folders;
    const char *pattern; // relative to root; NULL: everything
    size_t root_bytes;   // of the root's path and its '/'
    size_t top_bytes;    // of the path of the folder that is walked first
    const char *suffix;  // may be NULL
    int depth_max;
} walk;

static bool is_wild(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

// One bracket expression at p ("[a-z]"); *next_out stands behind it. An unclosed one matches '[' itself.
static bool bracket_match(const char *p, char c, const char **next_out)
{
    const char *start = p++;
    bool negated = *p == '!' || *p == '^', found = false;
    if (negated)
        p++;
    for (bool first = true; *p && (first || *p != ']'); first = false) {
        unsigned char low = (unsigned char)*p++, high = low;
        if (*p == '-' && p[1] && p[1] != ']') {
            high = (unsigned char)p[1];
            p += 2;
        }
        found |= low <= (unsigned char)c && (unsigned char)c <= high;
    }
    if (*p != ']') {
        *next_out = start + 1;
        return c == '[';
    }
    *next_out = p + 1;
    return found != negated && c != '/';
}

// Backtracking to the last * and to the last ** is enough: an earlier star can always give its part to a later one.
bool hr__glob_match(const char *pattern, const char *path)
{
    const char *p = pattern, *s = path;
    const char *star_p = NULL, *star_s = NULL, *deep_p = NULL, *deep_s = NULL;
    for (;;) {
        bool name_begins = s == path || s[-1] == '/';
        if (p[0] == '*' && p[1] == '*') {
            p += 2;
            p += *p == '/';
            deep_p = p;
            deep_s = s;
            star_p = NULL;
            continue;
        }
        if (*p == '*' && !(name_begins && *s == '.')) {
            star_p = ++p;
            star_s = s;
            continue;
        }
        const char *next = p + 1;
        bool same = false;
        if (*p == '\0' && *s == '\0')
            return true;
        if (*p && *s && !(name_begins && *s == '.' && *p != '.'))
            same = *p == '?' ? *s != '/' : *p == '[' ? bracket_match(p, *s, &next) : *p == *s;
        if (same) {
            p = next;
            s++;
        } else if (star_p && *star_s && *star_s != '/') {
            s = ++star_s;
            p = star_p;
        } else if (deep_p && *deep_s) {
            // ** takes whole names, none of them hidden.
            if ((deep_s == path || deep_s[-1] == '/') && *deep_s == '.')
                return false;
            while (*deep_s && *deep_s != '/')
                deep_s++;
            deep_s += *deep_s == '/';
            if (*deep_p == '\0' && *deep_s == '\0')
                return true;
            s = deep_s;
            p = deep_p;
            star_p = NULL;
        } else {
            return false;
        }
    }
}

static hr_status join(const char *folder_path, const char *name, char **out, hr_error *err)
{
    size_t a = strlen(folder_path), b = strlen(name);
    bool slash = a > 0 && folder_path[a - 1] != '/';
    char *path = NULL;
    HR_TRY(hr__alloc(a + slash + b + 1, &path, err));
    memcpy(path, folder_path, a);
    if (slash)
        path[a] = '/';
    memcpy(path + a + slash, name, b + 1);
    *out = path;
    return HR_OK;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t a = strlen(text), b = strlen(suffix);
    return a >= b && memcmp(text + a - b, suffix, b) == 0;
}

static bool is_wanted(const walk *w, const char *path)
{
    if (w->pattern)
        return hr__glob_match(w->pattern, path + w->root_bytes);
    return !w->suffix || ends_with(path, w->suffix);
}

// Whether the folder is one of those that its path goes through. Where a pattern tells how deep, it has its way.
static bool is_loop(const walk *w, char *path, const struct stat *st)
{
    struct stat above;
    bool same = false;
    for (char *end = path + w->top_bytes; w->depth_max == DEPTH_MAX && end && !same;
         end = strchr(end + 1, '/')) {
        char cut = *end;
        *end = '\0';
        same = stat(path, &above) == 0 && above.st_dev == st->st_dev && above.st_ino == st->st_ino;
        *end = cut;
    }
    return same;
}

// Takes `path`. A name that vanished since it was listed is left out; a file that cannot be looked at is not, or the
// rows would be fewer and nobody told.
static hr_status add_entry(walk *w, char *path, int depth, hr_error *err)
{
    struct stat st;
    hr_status status = HR_OK;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT && is_wanted(w, path))
            status = hr__error_errno(err, errno, "%s", path);
    } else if (S_ISDIR(st.st_mode) && depth < w->depth_max && !is_loop(w, path, &st)) {
        HR_GO(HR_VEC_PUSH(&w->folders, ((folder){path, depth + 1}), err));
        return HR_OK;
    } else if (S_ISREG(st.st_mode) && is_wanted(w, path)) {
        HR_GO(HR_VEC_PUSH(&w->files, ((entry){path, (uint64_t)st.st_size}), err));
        return HR_OK;
    }
out:
    hr__free(path);
    return status;
}

static hr_status list_folder(walk *w, const folder *at, hr_error *err)
{
    hr_status status = HR_OK;
    DIR *dir = opendir(at->path);
    if (!dir)
        return hr__error_errno(err, errno, "%s", at->path);
    for (;;) {
        char *path = NULL;
        errno = 0;
        struct dirent *e = readdir(dir);
        if (!e) {
            if (errno)
                status = hr__error_errno(err, errno, "%s", at->path);
            break;
        }
        bool hidden = e->d_name[0] == '.' || (!w->pattern && e->d_name[0] == '_');
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || (hidden && !w->pattern))
            continue;
        HR_GO(join(at->path, e->d_name, &path, err));
        HR_GO(add_entry(w, path, at->depth, err));
    }
out:
    closedir(dir);
    return status;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->path, ((const entry *)b)->path);
}

static hr_status walk_from(walk *w, const char *root, hr_error *err)
{
    hr_status status = HR_OK;
    char *copy = NULL;
    HR_TRY(hr__strdup(root, &copy, err));
    w->top_bytes = strlen(root);
    if (HR_VEC_PUSH(&w->folders, ((folder){copy, 0}), err) != HR_OK) {
        hr__free(copy);
        return HR_NOMEM;
    }
    while (w->folders.count > 0) {
        folder at = w->folders.items[--w->folders.count];
        status = list_folder(w, &at, err);
        hr__free(at.path);
        if (status)
            return status;
    }
    if (w->files.count > 1)
        qsort(w->files.items, w->files.count, sizeof *w->files.items, by_path);
    return HR_OK;
}

// "a/b/c*/d" is walked from "a/b" for "c*/d".
static hr_status walk_pattern(walk *w, char *pattern, hr_error *err)
{
    char *cut = NULL;
    for (char *p = pattern; p && *p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        char *end = strchr(p, '/');
        if (end)
            *end = '\0';
        bool wild = is_wild(p);
        if (end)
            *end = '/';
        if (wild) {
            cut = p;
            break;
        }
    }
    HR_ASSERT(cut);
    w->pattern = cut;
    w->depth_max = 0;
    for (const char *p = cut; *p; p++)
        w->depth_max += *p == '/';
    if (strstr(cut, "**"))
        w->depth_max = DEPTH_MAX;
    char root[4096];
    if ((size_t)(cut - pattern) >= sizeof root)
        return HR_FAIL(err, HR_LIMIT, "a pattern's folder may have %zu characters",
                       sizeof root - 1);
    snprintf(root, sizeof root, "%.*s", (int)(cut - pattern), cut == pattern ? "" : pattern);
    if (cut == pattern)
        snprintf(root, sizeof root, "./");
    w->root_bytes = strlen(root);
    return walk_from(w, root, err);
}

static hr_status list_one(walk *w, const char *pattern, const char *suffix, hr_error *err)
{
    const hr_scheme *scheme = NULL;
    const char *rest = NULL;
    struct stat st;
    HR_TRY(hr__uri_split(pattern, &scheme, &rest, err));
    if (!rest[0])
        return HR_FAIL(err, HR_INVALID, "'%s': a path of no characters", pattern);
    int found = stat(rest, &st);
    w->suffix = suffix;
    w->depth_max = DEPTH_MAX;
    if (found == 0 && S_ISDIR(st.st_mode))
        return walk_from(w, rest, err);
    if (found == 0 || !is_wild(rest)) {
        char *copy = NULL;
        if (found != 0)
            return hr__error_errno(err, errno, "%s", pattern);
        HR_TRY(hr__strdup(rest, &copy, err));
        if (HR_VEC_PUSH(&w->files, ((entry){copy, (uint64_t)st.st_size}), err) == HR_OK)
            return HR_OK;
        hr__free(copy);
        return HR_NOMEM;
    }
    char *copy = NULL;
    HR_TRY(hr__strdup(rest, &copy, err));
    hr_status status = walk_pattern(w, copy, err);
    hr__free(copy);
    return status;
}

static void walk_finish(walk *w)
{
    for (size_t i = 0; i < w->files.count; i++)
        hr__free(w->files.items[i].path);
    for (size_t i = 0; i < w->folders.count; i++)
        hr__free(w->folders.items[i].path);
    HR_VEC_FINISH(&w->files);
    HR_VEC_FINISH(&w->folders);
}

// Moves the paths of `w` to the end of the listing.
static hr_status append(hr_listing *listing, walk *w, hr_error *err)
{
    size_t total = listing->count + w->files.count;
    HR_TRY(hr__realloc(&listing->paths, HR_MAX(total, 1) * sizeof *listing->paths, err));
    HR_TRY(hr__realloc(&listing->bytes, HR_MAX(total, 1) * sizeof *listing->bytes, err));
    for (size_t i = 0; i < w->files.count; i++) {
        listing->paths[listing->count] = w->files.items[i].path;
        listing->bytes[listing->count++] = w->files.items[i].bytes;
    }
    w->files.count = 0;
    return HR_OK;
}

hr_status hr__list(const char *const *patterns, size_t count, const char *suffix, hr_listing *out,
                   hr_error *err)
{
    hr_status status = HR_OK;
    hr_listing listing = {0};
    for (size_t i = 0; i < count && !status; i++) {
        walk w = {0};
        status = list_one(&w, patterns[i], suffix, err);
        if (!status && w.files.count == 0)
            status = HR_FAIL(err, HR_NOT_FOUND, "%s: no file%s%s matches", patterns[i],
                             suffix ? " with suffix " : "", suffix ? suffix : "");
        if (!status)
            status = append(&listing, &w, err);
        walk_finish(&w);
    }
    if (status) {
        hr__listing_free(&listing);
        return status;
    }
    *out = listing;
    return HR_OK;
}

void hr__listing_free(hr_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        hr__free(listing->paths[i]);
    hr__free(listing->paths);
    hr__free(listing->bytes);
    *listing = (hr_listing){0};
}
