/* A published message carries a mark inside its text, which must come back inside what the server
   delivers: when it was published, in which room, and its place in the room's sequence. On the wire
   a mark is "@T", 16 hexadecimal digits of nanoseconds, 4 of the room, 8 of the place, and "@". */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define MARK_BYTES 31

struct mark {
    uint64_t published; /* nanoseconds of our clock */
    uint32_t room, place;
};

struct message {
    char *text;     /* what is sent, with room for the mark */
    size_t length;  /* bytes */
    size_t mark_at; /* where the mark begins */
};

/* Build what is published: `pattern` with "{message}" replaced by a mark and padding, `content`
   bytes in all. Return no text when the pattern has no "{message}" or the content no room for a
   mark. */
struct message message_build(const char *pattern, size_t content);

/* Write a mark into the message. */
void message_stamp(struct message *message, struct mark mark);

/* Find the first mark from `text` on; return 0 when there is none. */
int mark_find(const uint8_t *text, const uint8_t *end, struct mark *mark);
