/* WebSocket frames (RFC 6455, section 5.2), as far as a load client needs them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

#define MASKED_HEADER_BYTES 14

struct frame {
    int opcode;
    const uint8_t *payload;
    size_t length;
};

/* Write a masked frame, as clients send; return its bytes. */
size_t frame_write_masked(uint8_t *to, int opcode, const void *payload, size_t length);

/* Read an unmasked frame, as servers send; return its bytes, or 0 when it has not arrived whole. */
size_t frame_read(const uint8_t *from, size_t length, struct frame *frame);
