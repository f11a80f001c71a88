package littoral

import java.time.Instant
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.time.Duration

/** A document was written, here ([local]) or by a peer. What it holds now is to be read; it may be gone. */
data class Change(
    /** Keep it, and go on from it after a restart: changes(since = position). */
    val position: Long,
    /** By the author's clock. */
    val time: Instant,
    /** The number of the transaction among its author's. */
    val seq: Long,
    val collection: String,
    val id: String,
    /** The author's key. */
    val origin: String,
    val local: Boolean,
) {
    /** As jni/littoral_jni.c makes it. */
    internal constructor(
        position: Long, timeMs: Long, seq: Long, collection: ByteArray, id: ByteArray, origin: ByteArray, local: Boolean,
    ) : this(position, Instant.ofEpochMilli(timeMs), seq, collection.text(), id.text(), origin.text(), local)
}

/** The changes of a store, one by one. One thread at a time; for coroutines see Flow.kt. */
class Changes internal constructor(private val handle: Long) : AutoCloseable {
    companion object {
        /** Only what is yet to come. */
        const val NOW: Long = -1

        /** From the oldest change that the log holds. */
        const val START: Long = 0
    }

    /** The next change; null when the time is over. Blocks for the time given. */
    fun next(timeout: Duration = Duration.INFINITE): Change? = Native.changesNext(handle, timeout.millis())

    override fun close() = Native.changesFree(handle)
}

/** Calls a function with changes, on a thread of the library, until it is closed; see [Store.subscribe]. */
class Subscription internal constructor(private val handle: Long) : AutoCloseable {
    private val closed = AtomicBoolean()

    /** When it returns there is no more call; within the call itself, this one is the last. Twice is harmless. */
    override fun close() {
        if (!closed.getAndSet(true)) Native.subscriptionFree(handle)
    }
}

/** What jni/littoral_jni.c calls. */
internal class Listener(
    private val onGap: () -> Unit,
    private val onEnd: (Int) -> Unit,
    private val onChange: (Change) -> Unit,
) {
    fun called(status: Int, change: Change?) {
        try {
            when {
                change != null -> onChange(change)
                status == NOT_FOUND -> onGap()
                else -> onEnd(status)
            }
        } catch (thrown: Throwable) {
            // As if it were a thread of the app's: on Android this ends the app, with a trace.
            val thread = Thread.currentThread()
            thread.uncaughtExceptionHandler.uncaughtException(thread, thrown)
        }
    }

    private companion object {
        const val NOT_FOUND = -5
    }
}
