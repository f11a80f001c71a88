/* ---------------------------------------------------------------------------------------------
 * Small things for C and C++, all inline.
 */

/** `len` bytes at `ptr` as a slice. */
static inline lit_slice_t lit_slice(const void *ptr, size_t len) {
    lit_slice_t slice;
    slice.ptr = (const uint8_t *)ptr;
    slice.len = len;
    return slice;
}

/** A C string as a slice; NULL is empty. */
static inline lit_slice_t lit_cstr(const char *text) {
    return lit_slice(text, text == NULL ? 0 : strlen(text));
}

/** Bytes that the library gave, as a slice to pass back in. */
static inline lit_slice_t lit_bytes_slice(lit_bytes_t bytes) {
    return lit_slice(bytes.ptr, bytes.len);
}

/** A string literal as a slice; it may hold NUL. */
#define LIT_STR(literal) lit_slice("" literal "", sizeof(literal) - 1)

/** The defaults: all zero but struct_size, which is that of your header. */
static inline void lit_options_init(lit_options_t *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

/** The defaults: changes of all collections, from now on. */
static inline void lit_subscribe_options_init(lit_subscribe_options_t *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->since = LIT_SINCE_NOW;
}

/** The defaults: all documents, in order. */
static inline void lit_scan_options_init(lit_scan_options_t *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}
