/* A plugin library for tests: one thread per phase, as the Go SDK has. MASK, RUNS, GO, ORIGINAL, NO_SHUTDOWN and NO_EVENTS
 * change what it exports. */
#include "library.h"

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static Session *sessions[4096];
static char config[4096];

static void say(const char *what, const char *detail, size_t length) {
  printf("library: %s %.*s\n", what, (int)length, detail);
  fflush(stdout);
}

static Session *find(uint32_t sid) {
  pthread_mutex_lock(&table);
  Session *found = sessions[sid % 4096];
  while (found && found->sid != sid) found = found->next;
  pthread_mutex_unlock(&table);
  return found;
}

void initialize(char *text, int length) {
  say("initialize", text, (size_t)length);
  if (length >= (int)sizeof config) length = sizeof config - 1;
  memcpy(config, text, (size_t)length);
  config[length] = 0;
  while (strstr(config, "hang_initialize")) pause();
}

#ifndef NO_SHUTDOWN
void shutdown(void) {
  say("shutdown", "", 0);
  while (strstr(config, "hang_shutdown")) pause();
}
#endif

void plugin_free(unsigned char *pointer) { free(pointer); }

uint8_t register_session_stream(uint32_t sid, char *entry, uint32_t length, data_event_fn call) {
  Session *session = calloc(1, sizeof *session);
  session->sid = sid;
  if (length >= sizeof session->entry) length = sizeof session->entry - 1;
  memcpy(session->entry, entry, length);
  session->call = call;
  pthread_mutex_init(&session->lock, NULL);
  pthread_cond_init(&session->answered, NULL);
  if (!on_register(session)) {
    free(session);
    return 0;
  }
  pthread_mutex_lock(&table);
  session->next = sessions[sid % 4096];
  sessions[sid % 4096] = session;
  pthread_mutex_unlock(&table);
  return 1;
}

#ifndef NO_EVENTS
struct Start {
  Session *session;
  int phase;
};

static void *run(void *argument) {
  struct Start start = *(struct Start *)argument;
  free(argument);
  serve(start.session, start.phase);
  return NULL;
}

void event_stream(const FfiBuffer *buffer) {
  Session *session = find(buffer->sid);
  if (!session) return;
  if (buffer->phase) {
    if (is_inline(session)) {
      serve(session, buffer->phase);
      return;
    }
    struct Start *start = malloc(sizeof *start);
    start->session = session;
    start->phase = buffer->phase;
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &detached, run, start);
    pthread_attr_destroy(&detached);
    return;
  }
  if (buffer->method >= 350 && buffer->method <= 354) {
    on_socket(session, buffer->method, buffer->ptr, buffer->len);
    return;
  }
  pthread_mutex_lock(&session->lock);
  free(session->answer);
  session->answer = malloc(buffer->len + 1);
  memcpy(session->answer, buffer->ptr, buffer->len);
  session->answer[buffer->len] = 0;
  session->length = buffer->len;
  session->method = buffer->method;
  session->answers++;
  if (strlen(session->order) + 8 < sizeof session->order) sprintf(session->order + strlen(session->order), "%u ", buffer->method);
  pthread_cond_broadcast(&session->answered);
  pthread_mutex_unlock(&session->lock);
}
#endif

/* Handlers may still run: like the Go SDK it keeps what it has until the process ends. */
void close_session_stream(uint32_t sid) {
  Session *session = find(sid);
  if (!session) return;
  if (strstr(session->entry, "noisy")) say("closed", session->entry, strlen(session->entry));
  on_close(session);
  pthread_mutex_lock(&session->lock);
  session->closed++;
  pthread_cond_broadcast(&session->answered);
  pthread_mutex_unlock(&session->lock);
}

#ifdef RUNS
uint8_t nylon_run_phase(uint32_t sid, uint8_t phase) {
  Session *session = find(sid);
  if (session) serve(session, phase);
  return 1;
}
#endif

#ifdef MASK
uint8_t nylon_session_phases(uint32_t sid) {
  Session *session = find(sid);
  if (!session) return 0;
  if (!strcmp(session->entry, "filter")) return 15;
  if (!strncmp(session->entry, "filter_pieces", 13)) return 4 | 16;
  if (!strcmp(session->entry, "body_watcher")) return 4;
  return !strcmp(session->entry, "response_only") ? 2 : 1;
}
#endif

#ifdef GO
/* What libraries with a Go runtime are known by: they are told of a body filter within their own call. */
void crosscall2(void) {}
#endif

#ifndef ORIGINAL
void nylon_host_extensions(const uint32_t *methods, uint32_t count) {
  char text[64] = "";
  for (uint32_t index = 0; index < count; index++) sprintf(text + strlen(text), "%u ", methods[index]);
  say("extensions", text, strlen(text));
}
#endif

void tell(Session *session, uint32_t method, const void *payload, size_t length) {
  FfiBuffer buffer = {session->sid, 0, method, length ? payload : NULL, length};
  session->call(&buffer);
}

void tell_text(Session *session, uint32_t method, const char *text) { tell(session, method, text, strlen(text)); }

char *ask(Session *session, uint32_t method, const char *argument, size_t *length) {
  pthread_mutex_lock(&session->lock);
  unsigned before = session->answers;
  pthread_mutex_unlock(&session->lock);
  tell_text(session, method, argument);
  return await_answer(session, method, before, length);
}

char *await_answer(Session *session, uint32_t method, unsigned before, size_t *length) {
  pthread_mutex_lock(&session->lock);
#ifdef ORIGINAL
  while (session->answers == before) pthread_cond_wait(&session->answered, &session->lock);
#else
  while (session->answers == before && !session->closed) pthread_cond_wait(&session->answered, &session->lock);
#endif
  session->unanswered = session->answers == before;
  size_t size = session->unanswered ? 0 : session->length;
  char *copy = calloc(1, size + 1);
  memcpy(copy, size ? session->answer : (unsigned char *)"", size);
  if (length) *length = size;
  if (!session->unanswered && session->method != method) say("ANSWER TO ANOTHER METHOD", session->entry, strlen(session->entry));
  pthread_mutex_unlock(&session->lock);
  return copy;
}

static void put(unsigned char *at, uint32_t number) { memcpy(at, &number, 4); }

void set_header(Session *session, uint32_t method, const char *name, const char *value) {
  /* The flatbuffer of the Go SDK: root, vtable, table, value, name. */
  size_t name_length = strlen(name), value_length = strlen(value);
  size_t value_at = 24, name_at = (value_at + 4 + value_length + 1 + 3) / 4 * 4;
  size_t length = (name_at + 4 + name_length + 1 + 3) / 4 * 4;
  unsigned char *out = calloc(1, length);
  static const unsigned char vtable[8] = {8, 0, 12, 0, 8, 0, 4, 0};
  put(out, 12);
  memcpy(out + 4, vtable, 8);
  put(out + 12, 8);
  put(out + 16, (uint32_t)(value_at - 16));
  put(out + 20, (uint32_t)(name_at - 20));
  put(out + value_at, (uint32_t)value_length);
  memcpy(out + value_at + 4, value, value_length);
  put(out + name_at, (uint32_t)name_length);
  memcpy(out + name_at + 4, name, name_length);
  tell(session, method, out, length);
  free(out);
}

void set_status(Session *session, uint16_t status) {
  unsigned char bytes[2] = {(unsigned char)(status >> 8), (unsigned char)status};
  tell(session, 102, bytes, 2);
}
