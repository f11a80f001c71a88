// What crosses the border to C: text in, text and errors out. Nothing else touches C's memory.

import CLittoral

/// What went wrong: `code` is of littoral.h, as LIT_ERR_LOCKED; the message is for people.
public struct LittoralError: Error, CustomStringConvertible {
    public let code: Int32
    public let message: String

    public var description: String {
        "\(String(cString: lit_status_name(code))): \(message)"
    }
}

/// Calls C: throws its errors, and tells whether something was there.
@discardableResult
func call(_ body: (UnsafeMutablePointer<lit_error_t>) -> lit_status_t) throws -> Bool {
    var err = lit_error_t()
    let status = withUnsafeMutablePointer(to: &err) { body($0) }
    if status < 0 {
        let message = withUnsafeBytes(of: &err.message) { bytes in
            String(decoding: bytes.prefix(while: { $0 != 0 }), as: UTF8.self)
        }
        throw LittoralError(code: status, message: message)
    }
    return status == LIT_OK
}

/// Text as C reads it, during the call only.
func with<R>(_ text: String, _ body: (lit_slice_t) throws -> R) rethrows -> R {
    var text = text
    return try text.withUTF8 { try body(lit_slice_t(ptr: $0.baseAddress, len: $0.count)) }
}

func with<R>(_ a: String, _ b: String, _ body: (lit_slice_t, lit_slice_t) throws -> R) rethrows -> R {
    try with(a) { a in try with(b) { b in try body(a, b) } }
}

func with<R>(
    _ a: String, _ b: String, _ c: String,
    _ body: (lit_slice_t, lit_slice_t, lit_slice_t) throws -> R
) rethrows -> R {
    try with(a, b) { a, b in try with(c) { c in try body(a, b, c) } }
}

/// Calls C for bytes that are ours then; nil if there was nothing.
func bytes(
    _ body: (UnsafeMutablePointer<lit_bytes_t>, UnsafeMutablePointer<lit_error_t>) -> lit_status_t
) throws -> [UInt8]? {
    var owned = lit_bytes_t()
    defer { lit_bytes_free(&owned) }
    let there = try withUnsafeMutablePointer(to: &owned) { place in
        try call { err in body(place, err) }
    }
    return there ? Array(UnsafeBufferPointer(start: owned.ptr, count: owned.len)) : nil
}

/// The same as text.
func text(
    _ body: (UnsafeMutablePointer<lit_bytes_t>, UnsafeMutablePointer<lit_error_t>) -> lit_status_t
) throws -> String? {
    try bytes(body).map { String(decoding: $0, as: UTF8.self) }
}

/// Calls C for a new handle.
func handle(
    _ body: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<lit_error_t>) -> lit_status_t
) throws -> OpaquePointer? {
    var made: OpaquePointer?
    _ = try withUnsafeMutablePointer(to: &made) { place in
        try call { err in body(place, err) }
    }
    return made
}

/// Text that a handle lends.
func copied(_ slice: lit_slice_t) -> String {
    String(decoding: UnsafeBufferPointer(start: slice.ptr, count: slice.len), as: UTF8.self)
}

/// For C, which wants whole milliseconds.
func milliseconds(_ seconds: Double) -> Int64 {
    Int64(min(max(seconds, 0), 1e9) * 1000)
}
