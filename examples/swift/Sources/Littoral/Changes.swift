import CLittoral
import Foundation

/// A document was written, here (`local`) or by a peer. What it holds now is to be read; it may be gone.
public struct Change: Equatable, Sendable {
    /// Keep it, and go on from it after a restart: `changes(since: position)`.
    public let position: UInt64
    /// By the author's clock.
    public let time: Date
    public let collection: String
    public let id: String
    /// The author's key.
    public let origin: String
    public let local: Bool
}

extension Store {
    /// Only what is yet to come.
    public static let now = UInt64.max

    /// The changes after a position. It ends when the store is closed, when nobody listens any more, or
    /// when the log no longer reaches back to where it was: then read the documents anew.
    ///
    ///     for await change in try store.changes() { print(change.id) }
    ///
    /// Changes that nobody has taken yet wait in memory: who listens should keep up.
    public func changes(since: UInt64 = Store.now) throws -> AsyncStream<Change> {
        let (stream, continuation) = AsyncStream.makeStream(of: Change.self)
        let listener = Unmanaged.passRetained(Listener(continuation))
        let callback = lit_callback_t(
            context: listener.toOpaque(),
            call: { context, status, change in
                Unmanaged<Listener>.fromOpaque(context!).takeUnretainedValue().call(status, change)
            },
            drop: { context in
                Unmanaged<Listener>.fromOpaque(context!).release()
            })
        do {
            let pointer = try handle { subscription, err in
                var options = lit_subscribe_options_t()
                lit_subscribe_options_init(&options)
                options.since = since
                return lit_store_subscribe(self.pointer, &options, callback, subscription, err)
            }
            let subscription = Subscription(pointer: pointer!)
            continuation.onTermination = { _ in subscription.end() }
            return stream
        } catch {
            // Nothing was subscribed, so nobody calls `drop`.
            listener.release()
            throw error
        }
    }
}

/// What C calls, on a thread of the library.
private final class Listener {
    private let continuation: AsyncStream<Change>.Continuation

    init(_ continuation: AsyncStream<Change>.Continuation) {
        self.continuation = continuation
    }

    func call(_ status: lit_status_t, _ change: UnsafePointer<lit_change_t>?) {
        guard let change = change?.pointee else {
            continuation.finish()
            return
        }
        continuation.yield(
            Change(
                position: change.position,
                time: Date(timeIntervalSince1970: Double(change.time_ms) / 1000),
                collection: copied(change.collection),
                id: copied(change.id),
                origin: copied(change.origin),
                local: change.local))
    }
}

/// Ended once, by the stream that it feeds.
private final class Subscription: @unchecked Sendable {
    private let pointer: OpaquePointer

    init(pointer: OpaquePointer) {
        self.pointer = pointer
    }

    func end() {
        lit_subscription_free(pointer)
    }
}
