#define _GNU_SOURCE
#include "message.h"

#include <stdlib.h>
#include <string.h>

static const char PLACE_HOLDER[] = "{message}";

struct message message_build(const char *pattern, size_t content) {
    struct message message = {0};
    const char *holder = strstr(pattern, PLACE_HOLDER);
    if (!holder || content < MARK_BYTES) return message;
    size_t before = (size_t)(holder - pattern);
    const char *after = holder + strlen(PLACE_HOLDER);
    message.length = before + content + strlen(after);
    message.mark_at = before;
    message.text = malloc(message.length + 1);
    memcpy(message.text, pattern, before);
    memset(message.text + before, 'x', content);
    strcpy(message.text + before + content, after);
    return message;
}

static void write_hexadecimal(char *text, int digits, uint64_t value) {
    for (int i = digits - 1; i >= 0; i--, value >>= 4) text[i] = "0123456789abcdef"[value & 15];
}

static uint64_t read_hexadecimal(const uint8_t *text, int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; i++)
        value = value << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    return value;
}

void message_stamp(struct message *message, struct mark mark) {
    char *text = message->text + message->mark_at;
    memcpy(text, "@T", 2);
    write_hexadecimal(text + 2, 16, mark.published);
    write_hexadecimal(text + 18, 4, mark.room);
    write_hexadecimal(text + 22, 8, mark.place);
    text[MARK_BYTES - 1] = '@';
}

int mark_find(const uint8_t *text, const uint8_t *end, struct mark *mark) {
    while (end - text >= MARK_BYTES) {
        const uint8_t *found = memmem(text, (size_t)(end - text), "@T", 2);
        if (!found || end - found < MARK_BYTES) return 0;
        if (found[MARK_BYTES - 1] == '@') {
            mark->published = read_hexadecimal(found + 2, 16);
            mark->room = (uint32_t)read_hexadecimal(found + 18, 4);
            mark->place = (uint32_t)read_hexadecimal(found + 22, 8);
            return 1;
        }
        text = found + 2;
    }
    return 0;
}
