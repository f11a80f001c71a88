/*
 * What the C tests have in common: counting checks, and comparing what the library gives.
 */
#ifndef CHECK_H
#define CHECK_H

#include <littoral.h>
#include <stdio.h>
#include <stdlib.h>

static int passed, failed;
static lit_error_t err;
static const char *directory; /* where the test may write */

static inline void count(int good, const char *what, int line) {
    if (good) {
        passed++;
        return;
    }
    failed++;
    printf("FAILED line %d: %s (last error: %s %s)\n", line, what, lit_status_name(err.code), err.message);
}

#define CHECK(condition) count((condition) ? 1 : 0, #condition, __LINE__)
/* The call gives this status, and its error says the same. */
#define GIVES(status, call) \
    do { \
        memset(&err, 0x55, sizeof err); \
        lit_status_t given = (call); \
        count(given == (status) && err.code == given && (given >= 0 || err.message[0] != 0), \
              #call " gives " #status, __LINE__); \
    } while (0)
#define OK(call) GIVES(LIT_OK, call)
/* Once with a place for the error, once without. */
#define GIVES_TOO(status, call, silent) \
    do { \
        GIVES(status, call); \
        count((silent) == (status), #silent " gives " #status, __LINE__); \
    } while (0)

#define S LIT_STR

static inline int bytes_are(lit_bytes_t *bytes, const char *wanted) {
    int same = bytes->ptr != NULL && bytes->len == strlen(wanted) &&
               memcmp(bytes->ptr, wanted, bytes->len) == 0 && bytes->ptr[bytes->len] == 0;
    if (!same) printf("  is     %s\n  wanted %s\n", bytes->ptr ? (const char *)bytes->ptr : "NULL", wanted);
    lit_bytes_free(bytes);
    return same;
}

static inline int slice_is(lit_slice_t slice, const char *wanted) {
    return slice.len == strlen(wanted) && memcmp(slice.ptr, wanted, slice.len) == 0;
}

static inline lit_store_t *open_store(const char *name) {
    char path[600];
    lit_store_t *store;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    OK(lit_store_open(lit_cstr(path), NULL, &store, &err));
    return store;
}

#endif
