/* What a plugin library in C and the gateway say to each other in (docs/ffi-plugins.md). */
#ifndef NYLON_PLUGIN_H
#define NYLON_PLUGIN_H

#include <stdint.h>

/* A call of the gateway, or an answer to one: it and what it points to last until the call returns. */
typedef struct {
  uint32_t sid;
  uint8_t phase;
  uint32_t method;
  const unsigned char *ptr;
  uint64_t len;
} FfiBuffer;

/* How a library calls the gateway: given to `register_session_stream`, the same for all sessions. */
typedef void (*data_event_fn)(const FfiBuffer *);

#endif
