/** Notes on the command line, which merge with those of every other device. */
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.seconds
import littoral.Changes
import littoral.LittoralException
import littoral.Store
import org.json.JSONArray
import org.json.JSONObject

const val USAGE = """usage: notes DIR COMMAND
  add ID TITLE [BODY]    write a note
  tag ID TAG..           add tags: tags of all devices come together
  read ID                show a note, and count that it was read
  list [PREFIX]          show all, or those whose id begins so
  delete ID
  conflicts              what was written twice, unseen by each other
  settle ID PATH TEXT    decide it, for everybody
  watch [SECONDS]        show what changes, here and elsewhere
  invite ADDRESS         make a ticket for another device, and serve it
  join TICKET            become a member, and sync
  sync                   sync with those known from then on"""

/** A note as this program sees it. What other programs put into the document stays there. */
data class Note(val title: String, val body: String, val tags: List<String>, val reads: Long) {
    companion object {
        fun of(json: String): Note {
            val fields = JSONObject(json)
            val tags = fields.optJSONObject("tags")?.optJSONArray("\$set") ?: JSONArray()
            val reads = fields.optJSONObject("reads")?.optLong("\$counter") ?: 0
            val texts = (0 until tags.length()).map { tags.get(it).toString() }
            return Note(fields.optString("title"), fields.optString("body"), texts.sorted(), reads)
        }
    }

    override fun toString() = "$title${tags.joinToString("") { " #$it" }}${if (body.isEmpty()) "" else ": $body"}"
}

fun main(args: Array<String>) {
    if (args.size < 2) {
        System.err.println(USAGE)
        exitProcess(2)
    }
    val (directory, command) = args
    val rest = args.drop(2)
    try {
        val ticket = if (command == "join") rest.firstOrNull() else null
        Store.open(directory, ticket = ticket).use { store -> run(store, command, rest) }
    } catch (err: LittoralException) {
        System.err.println("${err.name}: ${err.message}")
        exitProcess(1)
    }
}

fun run(store: Store, command: String, rest: List<String>) {
    val notes = store["notes"]
    when {
        command == "add" && rest.size in 2..3 -> store.write { tx ->
            tx["notes"].set(rest[0], "/title", rest[1])
            if (rest.size == 3) tx["notes"].set(rest[0], "/body", rest[2])
        }
        command == "tag" && rest.size >= 2 -> rest.drop(1).forEach { notes.add(rest[0], "/tags", it) }
        command == "read" && rest.size == 1 -> {
            val note = notes[rest[0]]?.let { Note.of(it.json) } ?: return println("there is no note '${rest[0]}'")
            notes.increment(rest[0], "/reads")
            println("$note (read ${note.reads + 1} times)")
        }
        command == "list" && rest.size <= 1 -> notes.scan(prefix = rest.firstOrNull()) { rows ->
            rows.forEach { (id, json) -> println("$id  ${Note.of(json)}") }
        }
        command == "delete" && rest.size == 1 -> println(if (notes.delete(rest[0])) "deleted" else "there was none")
        command == "conflicts" && rest.isEmpty() -> notes.conflicts().forEach { conflict ->
            println("${conflict.id} ${conflict.path}")
            conflict.candidates.forEach { println("  ${it.value} of ${it.time}, by ${it.author.take(8)}") }
        }
        command == "settle" && rest.size == 3 -> {
            val conflict = notes.conflicts().find { it.id == rest[0] && it.path == rest[1] }
                ?: return println("there is no such conflict")
            notes.resolve(conflict, JSONObject.quote(rest[2]))
        }
        command == "watch" && rest.size <= 1 -> watch(store, rest.firstOrNull()?.toInt() ?: Int.MAX_VALUE)
        command == "invite" && rest.size == 1 -> {
            println("listening at ${store.listen(rest[0])}")
            println(store.invite(mapOf("notes" to "write"), seconds = 600))
            println("press return to end")
            readlnOrNull()
        }
        command == "join" && rest.size == 1 -> store.join(rest[0])?.use { link -> said(link.waitSynced()) } ?: said(false)
        command == "sync" && rest.isEmpty() -> {
            store.connectKnown()
            said(store.waitSynced())
        }
        else -> System.err.println(USAGE)
    }
}

fun said(synced: Boolean) = println(if (synced) "synced" else "nobody answered; what was written here is safe, and goes another time")

fun watch(store: Store, seconds: Int) {
    val end = System.nanoTime() + seconds.seconds.inWholeNanoseconds
    store.changes(since = Changes.NOW).use { changes ->
        println("watching")
        while (System.nanoTime() < end) {
            val change = changes.next(1.seconds) ?: continue
            val note = store[change.collection][change.id]?.let { Note.of(it.json) }
            println("${if (change.local) "here" else "there"}  ${change.id}  ${note ?: "deleted"}")
        }
    }
}
