// The Nylon plugin ABI, as a gateway sees it.
#ifndef NYLON_ABI_H
#define NYLON_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t sid;
  uint8_t phase;
  uint32_t method;
  const unsigned char *ptr;  // the sender's, until the call returns
  uint64_t len;
} FfiBuffer;

typedef void (*data_event_fn)(const FfiBuffer *);

// Calls the host's callback.
void nylon_call(data_event_fn callback, uint32_t sid, uint32_t method, const void *payload, uint64_t length);

#endif
