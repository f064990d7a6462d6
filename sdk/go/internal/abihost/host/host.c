// A host of Nylon plugins, as small as can be: it does what its standard input says and prints the conversation.
//
//   init [JSON]           initialize; without text with length 0 and a pointer to nothing
//   extensions N...       announces methods beyond the ABI
//   payloads null|small   what a pointer to nothing is: NULL or the number 1
//   answers inline|later  reads are answered inside the callback, or from the thread that serves the session
//   answer N [TEXT]       what read N gives; 202 and 110: name=value pairs
//   open SID ENTRY        register_session_stream
//   mask SID              nylon_session_phases
//   phase SID N           begins a phase on a thread of its own and serves it to its end
//   event SID N [TEXT]    an event
//   calls SID N           waits for N calls and prints them
//   hold SID              waits for a call, prints it and does not answer
//   start SID N           begins a phase and does not serve it
//   silence SID           no call may be waiting
//   close SID, shutdown
//   crowd N ENTRY         N threads with 50 sessions each, one request filter each
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
  uint32_t sid;
  uint8_t phase;
  uint32_t method;
  const unsigned char *ptr;
  uint64_t len;
} Buffer;
typedef void (*Callback)(const Buffer *);

static void (*initialize)(const uint8_t *, uint32_t);
static void (*shut)(void);
static bool (*register_session)(uint32_t, const uint8_t *, uint32_t, Callback);
static void (*event_stream)(const Buffer *);
static void (*close_session)(uint32_t);
static uint8_t (*session_phases)(uint32_t);
static void (*host_extensions)(const uint32_t *, uint32_t);

typedef struct Call {
  uint32_t sid, method;
  size_t len;
  struct Call *next;
  unsigned char bytes[];
} Call;

typedef struct { size_t len; unsigned char *bytes; } Text;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static Call *first, **last = &first;
static Text answers[400];
static bool answers_inline, nothing_is_null;

static void die(const char *what) {
  fflush(stdout);
  fprintf(stderr, "host: %s: %s\n", what, dlerror() ?: "");
  _Exit(1);
}

static bool is_read(uint32_t method) { return method == 3 || (method >= 107 && method <= 112) || (method >= 200 && method <= 211); }

static void tell(uint32_t sid, uint8_t phase, uint32_t method, const void *bytes, size_t len) {
  // The sender's memory is its own again when the call returns: whoever keeps it reads rubbish, or worse.
  unsigned char *own = len ? malloc(len) : NULL;
  if (len) memcpy(own, bytes, len);
  Buffer *buffer = malloc(sizeof *buffer);
  *buffer = (Buffer){sid, phase, method, len ? own : nothing_is_null ? NULL : (unsigned char *)1, len};
  event_stream(buffer);
  if (len) memset(own, 0xdd, len);
  memset(buffer, 0xdd, sizeof *buffer);
  free(own);
  free(buffer);
}

static void answer(uint32_t sid, uint32_t method) {
  if (method == 201) return;  // as the original does for a header that is absent
  tell(sid, 0, method, answers[method].bytes, answers[method].len);
}

static void on_call(const Buffer *buffer) {
  if (buffer->phase != 0) die("a call with a phase");
  if ((buffer->len == 0) != (buffer->ptr == NULL)) die("an empty payload is NULL, another is not");
  if (answers_inline && is_read(buffer->method)) answer(buffer->sid, buffer->method);
  Call *call = malloc(sizeof *call + buffer->len + 1);
  *call = (Call){buffer->sid, buffer->method, buffer->len, NULL};
  if (buffer->len) memcpy(call->bytes, buffer->ptr, buffer->len);
  call->bytes[buffer->len] = 0;
  pthread_mutex_lock(&lock);
  *last = call;
  last = &call->next;
  pthread_cond_broadcast(&came);
  pthread_mutex_unlock(&lock);
}

// The session's next call, in order; NULL if none is there and none is waited for.
static Call *take(uint32_t sid, bool wait) {
  struct timespec limit;
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_sec += 20;
  pthread_mutex_lock(&lock);
  for (;;) {
    for (Call **at = &first; *at; at = &(*at)->next) {
      if ((*at)->sid != sid) continue;
      Call *found = *at;
      *at = found->next;
      if (last == &found->next) last = at;
      pthread_mutex_unlock(&lock);
      return found;
    }
    if (!wait) break;
    if (pthread_cond_timedwait(&came, &lock, &limit)) die("no call came");
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static uint32_t u32(const unsigned char *at) { uint32_t n; memcpy(&n, at, 4); return n; }
static uint16_t u16(const unsigned char *at) { uint16_t n; memcpy(&n, at, 2); return n; }

// A HeaderKeyValue's string.
static const unsigned char *field(const unsigned char *buffer, int slot) {
  const unsigned char *table = buffer + u32(buffer), *vtable = table - (int32_t)u32(table);
  const unsigned char *place = table + u16(vtable + 4 + 2 * slot);
  return place + u32(place);
}

static void print_bytes(const unsigned char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (bytes[i] >= ' ' && bytes[i] < 127) putchar(bytes[i]);
    else printf("\\%02x", bytes[i]);
}

static void print_call(const Call *call) {
  printf("%u: %u", call->sid, call->method);
  if (call->method == 100 || call->method == 400 || call->method == 402 || call->method == 410) {
    const unsigned char *key = field(call->bytes, 0), *value = field(call->bytes, 1);
    printf(" %.*s=%.*s", (int)u32(key), key + 4, (int)u32(value), value + 4);
  } else if (call->method == 102) {
    printf(" %d", call->bytes[0] << 8 | call->bytes[1]);
  } else if (call->len) {
    putchar(' ');
    if (call->len > 200) printf("(%zu bytes)", call->len);
    else print_bytes(call->bytes, call->len);
  }
  putchar('\n');
}

static const char *completes(uint32_t method) {
  switch (method) {
    case 0: return "error";
    case 1: return "next";
    case 2: return "end";
    case 105: return "stream end";
    case 300: return "upgrade";
    case 303: return "closed";
    default: return NULL;
  }
}

static void *begin(void *buffer) {
  tell(((Buffer *)buffer)->sid, ((Buffer *)buffer)->phase, 0, NULL, 0);
  return NULL;
}

// Another thread than the one that serves begins a phase, as in the original.
static const char *run_phase(uint32_t sid, uint8_t phase, bool print) {
  pthread_t thread;
  Buffer start = {sid, phase, 0, NULL, 0};
  if (pthread_create(&thread, NULL, begin, &start)) die("pthread_create");
  const char *end = NULL;
  while (!end) {
    Call *call = take(sid, true);
    if (print) print_call(call);
    if (is_read(call->method) && !answers_inline) answer(sid, call->method);
    end = completes(call->method);
    free(call);
  }
  pthread_join(thread, NULL);
  return end;
}

static void put32(unsigned char *at, uint32_t n) { memcpy(at, &n, 4); }
static void put16(unsigned char *at, uint16_t n) { memcpy(at, &n, 2); }

static size_t put_string(unsigned char *at, const char *text, size_t len) {
  put32(at, (uint32_t)len);
  memcpy(at + 4, text, len);
  return (4 + len + 1 + 3) & ~(size_t)3;
}

// NylonHttpHeaders of "a=b c=d": root, vtable, table, vector, then a vtable, table and two strings for each.
static Text headers(char *pairs) {
  Text text = {0, calloc(1, 4096)};
  unsigned char *b = text.bytes;
  int count = 0;
  for (char *at = pairs; (at = strchr(at, '=')); at++) count++;
  put32(b, 12); put16(b + 6, 6); put16(b + 8, 8); put16(b + 10, 4);
  put32(b + 12, 6); put32(b + 16, 4); put32(b + 20, (uint32_t)count);
  size_t end = 24 + 4 * (size_t)count;
  int i = 0;
  for (char *pair = strtok(pairs, " "); pair; pair = strtok(NULL, " "), i++) {
    char *value = strchr(pair, '=');
    size_t vtable = end, table = end + 8, key = end + 20;
    put16(b + vtable, 8); put16(b + vtable + 2, 12); put16(b + vtable + 4, 4); put16(b + vtable + 6, 8);
    put32(b + table, 8);
    put32(b + 24 + 4 * i, (uint32_t)(table - (24 + 4 * (size_t)i)));
    put32(b + table + 4, (uint32_t)(key - (table + 4)));
    end = key + put_string(b + key, pair, (size_t)(value - pair));
    put32(b + table + 8, (uint32_t)(end - (table + 8)));
    end += put_string(b + end, value + 1, strlen(value + 1));
  }
  text.len = end;
  return text;
}

static void *crowd(void *entry_and_number) {
  char *entry = entry_and_number;
  uint32_t base = (uint32_t)strtoul(strchr(entry, ' '), NULL, 10) * 1000 + 1000000;
  for (uint32_t sid = base; sid < base + 50; sid++) {
    if (!register_session(sid, (uint8_t *)entry, (uint32_t)strcspn(entry, " "), on_call)) die("refused");
    if (strcmp(run_phase(sid, 1, false), "end")) die("not ended");
    close_session(sid);
  }
  return NULL;
}

static void *symbol(void *library, const char *name, bool required) {
  void *found = dlsym(library, name);
  if (!found && required) die(name);
  return found;
}

int main(int count, char **arguments) {
  if (count != 2) die("usage: host LIBRARY");
  signal(SIGPIPE, SIG_IGN);
  void *library = dlopen(arguments[1], RTLD_LAZY | RTLD_LOCAL);
  if (!library) die("dlopen");
  *(void **)&initialize = symbol(library, "initialize", true);
  *(void **)&shut = symbol(library, "shutdown", true);
  *(void **)&register_session = symbol(library, "register_session_stream", true);
  *(void **)&event_stream = symbol(library, "event_stream", true);
  *(void **)&close_session = symbol(library, "close_session_stream", true);
  *(void **)&session_phases = symbol(library, "nylon_session_phases", false);
  *(void **)&host_extensions = symbol(library, "nylon_host_extensions", false);
  symbol(library, "plugin_free", true);
  Dl_info of_shutdown, of_register;
  dladdr(*(void **)&shut, &of_shutdown);
  dladdr(*(void **)&register_session, &of_register);
  if (of_shutdown.dli_fbase != of_register.dli_fbase) die("shutdown is libc's");

  char line[4096];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *word = line, *rest = strchr(line, ' ');
    if (rest) *rest++ = 0;
    else rest = line + strlen(line);
    char *more = rest;
    uint32_t sid = (uint32_t)strtoul(rest, &more, 10);
    if (*more == ' ') more++;
    if (!strcmp(word, "init")) {
      initialize(*rest ? (uint8_t *)rest : (uint8_t *)1, (uint32_t)strlen(rest));
    } else if (!strcmp(word, "extensions")) {
      uint32_t methods[16], n = 0;
      for (char *at = strtok(rest, " "); at; at = strtok(NULL, " ")) methods[n++] = (uint32_t)strtoul(at, NULL, 10);
      host_extensions(methods, n);
    } else if (!strcmp(word, "payloads")) {
      nothing_is_null = !strcmp(rest, "null");
    } else if (!strcmp(word, "answers")) {
      answers_inline = !strcmp(rest, "inline");
    } else if (!strcmp(word, "answer")) {
      free(answers[sid].bytes);
      answers[sid] = sid == 202 || sid == 110 ? headers(more) : (Text){strlen(more), (unsigned char *)strdup(more)};
    } else if (!strcmp(word, "open")) {
      printf("open %u %s: %d\n", sid, more, register_session(sid, (uint8_t *)more, (uint32_t)strlen(more), on_call));
    } else if (!strcmp(word, "mask")) {
      printf("mask %u: %d\n", sid, session_phases(sid));
    } else if (!strcmp(word, "phase")) {
      const char *end = run_phase(sid, (uint8_t)strtoul(more, NULL, 10), true);
      printf("phase %s of %u: %s\n", more, sid, end);
    } else if (!strcmp(word, "event")) {
      uint32_t method = (uint32_t)strtoul(more, &more, 10);
      if (*more == ' ') more++;
      tell(sid, 0, method, more, strlen(more));
    } else if (!strcmp(word, "start")) {
      tell(sid, (uint8_t)strtoul(more, NULL, 10), 0, NULL, 0);
    } else if (!strcmp(word, "hold")) {
      Call *call = take(sid, true);
      print_call(call);
      free(call);
    } else if (!strcmp(word, "calls")) {
      for (long n = strtol(more, NULL, 10); n > 0; n--) {
        Call *call = take(sid, true);
        print_call(call);
        if (is_read(call->method) && !answers_inline) answer(sid, call->method);
        free(call);
      }
    } else if (!strcmp(word, "silence")) {
      Call *call = take(sid, false);
      if (call) { print_call(call); die("a call too many"); }
    } else if (!strcmp(word, "close")) {
      close_session(sid);
    } else if (!strcmp(word, "shutdown")) {
      shut();
    } else if (!strcmp(word, "crowd")) {
      pthread_t threads[64];
      static char names[64][64];
      for (uint32_t i = 0; i < sid; i++) {
        snprintf(names[i], sizeof names[i], "%s %u", more, i);
        if (pthread_create(&threads[i], NULL, crowd, names[i])) die("pthread_create");
      }
      for (uint32_t i = 0; i < sid; i++) pthread_join(threads[i], NULL);
      printf("crowd of %u: done\n", sid);
    } else if (*word) {
      die("an unknown command");
    }
    fflush(stdout);
  }
  return 0;
}
