#include "frame.h"

#include <string.h>

size_t frame_write_masked(uint8_t *to, int opcode, const void *payload, size_t length) {
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = 0;
    to[at++] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        to[at++] = (uint8_t)(0x80 | length);
    } else {
        int bytes = length < 65536 ? 2 : 8;
        to[at++] = bytes == 2 ? 0x80 | 126 : 0x80 | 127;
        for (int i = bytes - 1; i >= 0; i--) to[at++] = (uint8_t)((uint64_t)length >> (8 * i));
    }
    memcpy(to + at, mask, sizeof mask);
    at += sizeof mask;
    for (size_t i = 0; i < length; i++) to[at + i] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
    return at + length;
}

size_t frame_read(const uint8_t *from, size_t length, struct frame *frame) {
    if (length < 2) return 0;
    size_t header = 2, payload = from[1] & 127;
    if (payload >= 126) {
        header = payload == 126 ? 4 : 10;
        if (length < header) return 0;
        payload = 0;
        for (size_t i = 2; i < header; i++) payload = payload << 8 | from[i];
    }
    if (length - header < payload) return 0;
    *frame = (struct frame){from[0] & 15, from + header, payload};
    return header + payload;
}
