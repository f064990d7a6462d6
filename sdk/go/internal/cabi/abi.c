// The exported symbols. They are C, not Go, because hosts pass pointers to nothing that must not reach a Go stack, and because
// one of them has the name of a system call.
#define _GNU_SOURCE
#include <stdlib.h>

#include "_cgo_export.h"

#ifdef __linux__
#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

_Static_assert(sizeof(FfiBuffer) == 32 && offsetof(FfiBuffer, phase) == 4 && offsetof(FfiBuffer, method) == 8 &&
                   offsetof(FfiBuffer, ptr) == 16 && offsetof(FfiBuffer, len) == 24,
               "the ABI is that of 64-bit platforms");

#define EXPORT __attribute__((visibility("default")))

void nylon_call(data_event_fn callback, uint32_t sid, uint32_t method, const void *payload, uint64_t length) {
  FfiBuffer buffer = {.sid = sid, .method = method, .ptr = length ? payload : NULL, .len = length};
  callback(&buffer);
}

static void *given(const void *payload, uint64_t length) { return length ? (void *)payload : NULL; }

EXPORT void initialize(char *config, int length) {
  size_t bytes = length > 0 ? (size_t)length : 0;
  nylonInitialize(given(config, bytes), bytes);
}

// In a program that is no library, a worker on NATS that was built with cgo, this name has to stay the system call: other
// libraries of that program would get this function.
EXPORT int shutdown(int descriptor, int how) {
#ifdef __linux__
  Dl_info program, here;
  if (dladdr((void *)getauxval(AT_ENTRY), &program) && dladdr((void *)&nylon_call, &here) &&
      program.dli_fbase == here.dli_fbase)
    return (int)syscall(SYS_shutdown, descriptor, how);
#endif
  nylonShutdown();
  return 0;
}

EXPORT void plugin_free(unsigned char *block) { free(block); }

EXPORT uint8_t register_session_stream(uint32_t sid, char *entry, uint32_t length, data_event_fn callback) {
  return nylonRegister(sid, given(entry, length), length, callback);
}

EXPORT void event_stream(const FfiBuffer *buffer) {
  nylonEvent(buffer->sid, buffer->phase, buffer->method, given(buffer->ptr, buffer->len), buffer->len);
}

EXPORT void close_session_stream(uint32_t sid) { nylonClose(sid); }

// Beyond the original ABI: which phases a session has registered, so that the host leaves out the others.
EXPORT uint8_t nylon_session_phases(uint32_t sid) { return nylonPhases(sid); }

// Beyond the original ABI: begins a phase, and may run its handler before it returns; 1 if that has happened.
EXPORT uint8_t nylon_run_phase(uint32_t sid, uint8_t phase) {
  static _Atomic uint32_t threads;
  static _Thread_local uint32_t thread;
  if (!thread) thread = ++threads;
  return nylonRunPhase(thread, sid, phase);
}

// Beyond the original ABI: which further methods the host takes.
EXPORT void nylon_host_extensions(const uint32_t *methods, uint32_t count) { nylonExtensions((uint32_t *)methods, count); }
