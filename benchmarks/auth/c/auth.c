/* The auth rule as a Nylon plugin library in C: everything is said within the call that begins the phase. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../crates/nylon-ffi/include/nylon_plugin.h"

enum { NEXT = 1, END = 2, SET_STATUS = 102, SET_BODY = 103, GET_HEADER = 201, SET_REQUEST_HEADER = 400 };

static const char token[] = "Bearer secret";
/* X-Auth-User: alice, as the flatbuffer that headers are. */
static const unsigned char user[] =
    "\x0c\0\0\0\x08\0\x0c\0\x08\0\x04\0\x08\0\0\0\x08\0\0\0\x10\0\0\0\x05\0\0\0alice\0\0\0\x0b\0\0\0X-Auth-User";

static data_event_fn call;
/* The answer to the read of this thread: it comes before the call for it returns. */
static _Thread_local int welcome;

static void tell(uint32_t sid, uint32_t method, const void *payload, size_t length) {
  FfiBuffer buffer = {sid, 0, method, length ? payload : NULL, length};
  call(&buffer);
}

void initialize(char *config, int length) { (void)config, (void)length; }
void shutdown(void) {}
void plugin_free(unsigned char *block) { free(block); }
void close_session_stream(uint32_t sid) { (void)sid; }
uint8_t nylon_session_phases(uint32_t sid) { return (void)sid, 1; }

uint8_t register_session_stream(uint32_t sid, char *entry, uint32_t length, data_event_fn callback) {
  (void)sid;
  call = callback;
  return length == 4 && !memcmp(entry, "auth", 4);
}

void event_stream(const FfiBuffer *buffer) {
  if (!buffer->phase) {
    welcome = buffer->method == GET_HEADER && buffer->len == sizeof token - 1 && !memcmp(buffer->ptr, token, buffer->len);
    return;
  }
  welcome = 0;
  tell(buffer->sid, GET_HEADER, "authorization", 13);
  if (welcome) {
    tell(buffer->sid, SET_REQUEST_HEADER, user, sizeof user);
    tell(buffer->sid, NEXT, NULL, 0);
    return;
  }
  tell(buffer->sid, SET_STATUS, "\x01\x91", 2);
  tell(buffer->sid, SET_BODY, "{\"error\":\"unauthorized\"}", 24);
  tell(buffer->sid, END, NULL, 0);
}
