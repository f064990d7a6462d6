/* The entries: those that do everything right, then those that do one thing wrong. */
#include "library.h"

#define IS(name) (!strcmp(session->entry, name))

static void say(Session *session, const char *text) {
  printf("library: %s: %s\n", session->entry, text);
  fflush(stdout);
}

/* ---- what works ---- */

/* Everything that can be read, one line each. Lists of headers by their length only. */
static void report(Session *session) {
  char out[65536] = "", line[8192];
  for (uint32_t method = 200; method <= 211; method++) {
    size_t length;
    char *answer = ask(session, method, method == 201 ? "X-Test" : "", &length);
    if (method == 202)
      snprintf(line, sizeof line, "202=%d\n", length > 20);
    else
      snprintf(line, sizeof line, "%u=%.4000s\n", method, answer);
    strcat(out, line);
    free(answer);
  }
  char *payload = ask(session, PAYLOAD, "", NULL), *absent = ask(session, 201, "X-Absent", NULL);
  snprintf(line, sizeof line, "payload=%s\nabsent=%s\n", payload, absent);
  strcat(out, line);
  free(payload);
  free(absent);
  set_status(session, 201);
  set_header(session, 100, "Content-Type", "text/plain");
  set_header(session, 100, "Transfer-Encoding", "chunked");
  tell_text(session, 101, "Content-Length");
  tell_text(session, 103, out);
  char *status = ask(session, 108, "", NULL), *bytes = ask(session, 109, "", NULL);
  set_header(session, 100, "X-Read-Back", status);
  set_header(session, 100, "X-Bytes-Back", bytes);
  free(status);
  free(bytes);
  tell(session, END, NULL, 0);
}

static void auth(Session *session, int phase) {
  if (phase != REQUEST) {
    tell(session, NEXT, NULL, 0);
    return;
  }
  char *token = ask(session, 201, "authorization", NULL);
  if (strcmp(token, "Bearer secret")) {
    set_status(session, 401);
    tell_text(session, 103, "who are you?");
    tell(session, END, NULL, 0);
  } else {
    set_header(session, 400, "X-Auth-User", "ada");
    tell(session, NEXT, NULL, 0);
  }
  free(token);
}

static void filter(Session *session, int phase) {
  size_t length;
  char line[512];
  if (phase == RESPONSE) {
    char *status = ask(session, 108, "", NULL), *headers = ask(session, 110, "", &length);
    char *error = ask(session, 112, "", NULL);
    set_header(session, 100, "X-Seen-Status", status);
    set_header(session, 100, "X-Seen-Upstream", memmem(headers, length, "x-upstream", 10) ? "yes" : "no");
    set_header(session, 100, "X-Seen-Error", error);
    set_header(session, 100, "content-TYPE", "text/replaced");
    set_header(session, 410, "Set-Cookie", "a=1");
    set_header(session, 410, "Set-Cookie", "b=2");
    tell_text(session, 101, "X-Upstream");
    tell_text(session, 101, "Content-Length");
    free(status);
    free(headers);
    free(error);
  }
  if (phase == BODY) {
    char *bytes = ask(session, 109, "", NULL), *body = ask(session, 107, "", &length);
    char *out = malloc(length + 64);
    memcpy(out, body, length);
    int more = sprintf(out + length, "+%s", bytes);
    tell(session, 103, out, length + (size_t)more);
    free(bytes);
    free(body);
    free(out);
  }
  if (phase == LOGGING) {
    char *status = ask(session, 108, "", NULL), *bytes = ask(session, 109, "", NULL);
    char *error = ask(session, 112, "", NULL), *path = ask(session, 204, "", NULL);
    char *headers = ask(session, 110, "", &length);
    snprintf(line, sizeof line, "logged path=%s status=%s bytes=%s replaced=%d error=%s.", path, status, bytes,
             memmem(headers, length, "text/replaced", 13) != NULL, error);
    say(session, line);
    set_status(session, 500);
    free(status);
    free(bytes);
    free(error);
    free(path);
    free(headers);
  }
  tell(session, NEXT, NULL, 0);
}

static void stream(Session *session) {
  char piece[32], *query = ask(session, 205, "", NULL);
  int pieces = atoi(query);
  free(query);
  set_status(session, 202);
  set_header(session, 100, "Transfer-Encoding", "chunked");
  set_header(session, 100, "X-Stream", "yes");
  tell_text(session, 101, "Content-Length");
  tell(session, 106, NULL, 0);
  set_header(session, 100, "X-Too-Late", "yes");
  for (int index = 0; index < pieces; index++) tell(session, 104, piece, (size_t)sprintf(piece, "piece %d\n", index));
  tell(session, 104, NULL, 0);
  tell(session, 105, NULL, 0);
  tell(session, NEXT, NULL, 0);
}

/* Takes the answer piece by piece, and breaks the ABI at one that begins with "!". */
static void filter_pieces(Session *session) {
  size_t length = 1;
  tell(session, 106, NULL, 0);
  free(ask(session, 200, "", &length)); /* the request's is not what it filters */
  tell(session, 104, length ? "?" : "<", 1);
  for (length = 1; length;) {
    char *piece = ask(session, 437, "", &length);
    tell(session, 104, piece, length);
    if (length && piece[0] == '!') tell(session, 999, NULL, 0);
    free(piece);
  }
  tell_text(session, 104, ">");
  tell(session, 105, NULL, 0);
}

/* Reads a body by the method that its name ends with, and says how that came to its end. */
static void reader(Session *session, int phase) {
  uint32_t method = (uint32_t)atoi(strrchr(session->entry, '_') + 1);
  size_t length;
  if (phase != (method == 107 || method == 437 ? BODY : REQUEST)) {
    tell(session, NEXT, NULL, 0);
    return;
  }
  if (method == 437) tell(session, 106, NULL, 0);
  if (!strncmp(session->entry, "fails_", 6)) tell(session, 999, NULL, 0);
  do {
    free(ask(session, method, "", &length));
    if (length) say(session, "has a piece");
  } while (length && method > 400);
  say(session, session->unanswered ? "body broke off" : "body has ended");
  tell(session, method == 437 ? 105 : NEXT, NULL, 0);
}

/* Answers with how much of a body is left that it has begun to read piece by piece. */
static void reader_again(Session *session) {
  size_t length;
  char text[32];
  size_t whole, rest = 0;
  free(ask(session, 431, "", &length));
  if (IS("piece_then_stream")) tell(session, 106, NULL, 0);
  free(ask(session, 200, "", &whole));
  while (length) {
    free(ask(session, 431, "", &length));
    rest += length;
  }
  tell(session, IS("piece_then_stream") ? 104 : 103, text, (size_t)sprintf(text, "%zu %zu", whole, rest));
  tell(session, IS("piece_then_stream") ? 105 : END, NULL, 0);
}

/* Streams how long the body is, of which it has wanted something before the stream began. */
static void reader_beside(Session *session, uint32_t method) {
  size_t length, total;
  char text[32];
  pthread_mutex_lock(&session->lock);
  unsigned before = session->answers;
  pthread_mutex_unlock(&session->lock);
  tell(session, method, NULL, 0);
  tell(session, 106, NULL, 0);
  free(await_answer(session, method, before, &length));
  for (total = length; length && method > 400; total += length) free(ask(session, method, "", &length));
  tell(session, 104, text, (size_t)sprintf(text, "%zu", total));
  tell(session, 105, NULL, 0);
}

/* Answers with the length of the body, of which it has wanted something before it asked for a WebSocket, which it cannot have. */
static void reader_refused(Session *session) {
  size_t length, total;
  char text[64];
  tell(session, 431, NULL, 0);
  tell(session, 433, "\0\0\0\0", 4);
  pthread_mutex_lock(&session->lock);
  while (session->answers < 2) pthread_cond_wait(&session->answered, &session->lock);
  length = session->length;
  pthread_mutex_unlock(&session->lock);
  for (total = length; length; total += length) free(ask(session, 431, "", &length));
  tell(session, 103, text, (size_t)sprintf(text, "%.8s%zu", session->order, total));
  tell(session, END, NULL, 0);
}

void on_socket(Session *session, uint32_t method, const unsigned char *payload, size_t length) {
  char out[256] = "";
  switch (method) {
  case 350:
    tell_text(session, 310, "all");
    tell_text(session, 301, "hello");
    break;
  case 351:
    if (length > 4 && (!memcmp(payload, "all:", 4) || !memcmp(payload, "end:", 4))) {
      memcpy(out, "all\0", 4);
      memcpy(out + 4, payload + 4, length - 4);
      tell(session, 312, out, length);
      if (payload[0] == 'e') tell(session, 303, NULL, 0);
      if (payload[0] == 'e') tell_text(session, 301, "behind the close");
    } else if (length == 3 && !memcmp(payload, "bye", 3)) {
      tell(session, 303, NULL, 0);
    } else if (length == 4 && !memcmp(payload, "kick", 4)) {
      tell(session, 434, "\x0f\xa1out", 5);
    } else if (length == 6 && !memcmp(payload, "badly!", 6)) {
      tell(session, 434, "\x03\xed", 2);
    } else if (length == 5 && !memcmp(payload, "leave", 5)) {
      tell_text(session, 311, "all");
      tell_text(session, 301, "left");
    } else if (length == 4 && !memcmp(payload, "rude", 4)) {
      tell(session, 301, "\xff\xfe", 2);
    } else if (length == 5 && !memcmp(payload, "wrong", 5)) {
      tell(session, 999, NULL, 0);
    } else {
      tell(session, 301, payload, length);
    }
    break;
  case 352: tell(session, 302, payload, length); break;
  case 353:
    say(session, "socket closed");
    snprintf(out, sizeof out, "closed with %d %.*s", length < 2 ? 0 : payload[0] << 8 | payload[1], length < 2 ? 0 : (int)length - 2, payload + 2);
    say(session, out);
    tell(session, 313, "all\0gone", 8);
    break;
  case 354: say(session, "socket failed"); break;
  default: say(session, "UNKNOWN EVENT");
  }
}

/* Like our Go SDK, it waits there for the last callback of a WebSocket. */
void on_close(Session *session) {
  if (IS("socket_parting")) tell(session, 313, "all\0parting", 11);
  if (IS("socket_lingering")) {
    usleep(300000);
    say(session, "has let go");
  }
}

/* ---- what does not ---- */

static void *stray(void *argument) {
  Session *session = argument;
  /* What it writes may still be of a phase: nothing tells it from what the handler says. */
  free(ask(session, 204, "", NULL));
  tell(session, NEXT, NULL, 0);
  say(session, "stray thread has its answer");
  return NULL;
}

static void hang(void) {
  for (;;) pause();
}

/* Says which thread it runs on; `thread_slow` after a while. */
static void thread(Session *session, int phase) {
  char id[32];
  if (phase == REQUEST) {
    if (IS("thread_slow")) usleep(300000);
    sprintf(id, "%d", (int)gettid());
    set_header(session, 400, "X-Thread", id);
  }
  tell(session, NEXT, NULL, 0);
}

/* Ends its request filter when the gateway gives it up. */
static void until_closed(Session *session, int phase) {
  if (phase == REQUEST) {
    pthread_mutex_lock(&session->lock);
    while (!session->closed) pthread_cond_wait(&session->answered, &session->lock);
    pthread_mutex_unlock(&session->lock);
    say(session, "heard the end");
  }
  tell(session, NEXT, NULL, 0);
}

/* Says `next` twice in its response filter, and changes the body only after that. */
static void hasty(Session *session, int phase) {
  if (phase == RESPONSE) {
    /* When the gateway has brought it, the call that began this phase has returned. */
    free(ask(session, 200, "", NULL));
    tell(session, NEXT, NULL, 0);
    tell(session, NEXT, NULL, 0);
    pthread_mutex_lock(&session->lock);
    session->responded = 1;
    pthread_cond_broadcast(&session->answered);
    pthread_mutex_unlock(&session->lock);
    return;
  }
  if (phase == BODY) {
    pthread_mutex_lock(&session->lock);
    while (!session->responded) pthread_cond_wait(&session->answered, &session->lock);
    pthread_mutex_unlock(&session->lock);
    tell_text(session, 103, "filtered");
  }
  tell(session, NEXT, NULL, 0);
}

/* In the phase in which it shall go wrong; whether the phase is over then. */
static int wrong(Session *session) {
  if (IS("never")) return 1;
  if (IS("twice")) {
    /* No change among them: what is said while the next phase runs counts as said in it. */
    tell(session, NEXT, NULL, 0);
    tell(session, NEXT, NULL, 0);
    tell(session, END, NULL, 0);
    return 1;
  }
  if (IS("wrong_sid")) {
    for (uint32_t other = session->sid - 8; other != session->sid + 8; other++) {
      FfiBuffer buffer = {other, 0, NEXT, NULL, 0};
      if (other != session->sid) session->call(&buffer);
    }
    FfiBuffer zero = {0, 0, NEXT, NULL, 0}, last = {0xffffffff, 0, END, NULL, 0};
    session->call(&zero);
    session->call(&last);
    return 1;
  }
  if (IS("back_late")) {
    usleep(700000);
    free(ask(session, 201, "authorization", NULL));
    free(ask(session, 202, "", NULL));
    say(session, "came back");
    tell(session, NEXT, NULL, 0);
    return 1;
  }
  if (IS("stray")) {
    pthread_t thread;
    pthread_create(&thread, NULL, stray, session);
    pthread_detach(thread);
    return 0;
  }
  if (IS("fails")) set_header(session, 430, "handler_error", "asked to");
  if (IS("fails_protocol")) set_header(session, 430, "protocol", "asked to");
  if (IS("fails_body")) set_header(session, 430, "body_too_large", "asked to");
  if (IS("fails_badly")) tell_text(session, 430, "no flatbuffer");
  if (IS("unknown_method")) tell(session, 999, NULL, 0);
  if (IS("zero_method")) tell(session, 0, NULL, 0);
  if (IS("event_method")) tell(session, 350, NULL, 0);
  if (IS("rubbish_header")) tell_text(session, 100, "this is no flatbuffer at all, but long enough for one");
  if (IS("empty_header")) tell(session, 100, NULL, 0);
  if (IS("bad_name")) set_header(session, 100, "not a name", "x");
  if (IS("bad_value")) set_header(session, 100, "x-a", "a\r\nx-injected: 1");
  if (IS("bad_removal")) tell(session, 101, "\xff\xfe", 2);
  if (IS("short_status")) tell(session, 102, "\x01", 1);
  if (IS("low_status")) set_status(session, 100);
  if (IS("high_status")) set_status(session, 1000);
  if (IS("data_without_head")) tell_text(session, 104, "data");
  if (IS("end_without_head")) tell(session, 105, NULL, 0);
  if (IS("send_without_socket")) tell_text(session, 301, "text");
  if (IS("join_without_socket")) tell_text(session, 310, "room");
  if (IS("broadcast_without_socket")) tell(session, 312, "room\0text", 9);
  if (IS("short_upgrade")) tell(session, 433, "\0\0", 2);
  if (IS("close_without_socket")) tell(session, 434, "\x03\xe8", 2);
  if (IS("piece_of_no_filter")) tell(session, 437, NULL, 0);
  if (IS("null_buffer")) session->call(NULL);
  if (IS("null_payload")) {
    FfiBuffer buffer = {session->sid, 0, 103, NULL, 10};
    session->call(&buffer);
  }
  if (IS("huge_payload")) {
    FfiBuffer buffer = {session->sid, 0, 103, (const unsigned char *)"x", 1ull << 40};
    session->call(&buffer);
  }
  if (IS("long_body")) {
    char *body = calloc(1, 2000000);
    tell(session, 103, body, 2000000);
    free(body);
  }
  if (IS("flood"))
    for (int count = 0; count < 200000; count++) set_header(session, 100, "x-flood", "1");
  if (IS("flood_reads"))
    for (int count = 0; count < 20000; count++) free(ask(session, 204, "", NULL));
  if (IS("end")) {
    tell(session, END, NULL, 0);
    return 1;
  }
  if (IS("bundle") || IS("cut_bundle") || IS("nested_bundle")) {
    unsigned char bundle[] = "\x66\0\0\0\x02\0\0\0\0\xca" /* 102: 202 */
                             "\x67\0\0\0\x05\0\0\0hello" /* 103 */
                             "\x02\0\0\0\0\0\0";         /* end; the last byte is C's */
    if (IS("nested_bundle")) memcpy(bundle, "\xb6\x01", 2);
    tell(session, 438, bundle, sizeof bundle - IS("cut_bundle"));
    return 1;
  }
  if (IS("stream")) {
    tell(session, 106, NULL, 0);
    tell(session, 105, NULL, 0);
    return 1;
  }
  if (IS("upgrade")) {
    tell(session, 300, NULL, 0);
    return 1;
  }
  if (!strncmp(session->entry, "piecewise", 9)) {
    size_t length = 1, total = 0;
    char text[32];
    if (IS("piecewise_stream")) tell(session, 106, NULL, 0);
    while (length) {
      char *piece = ask(session, 431, "", &length);
      if (IS("piecewise_stream")) tell(session, 104, piece, length);
      total += length;
      free(piece);
      /* The session is over when nothing comes of it. */
      if (IS("piecewise_once")) return 1;
    }
    if (IS("piecewise_open")) return 1;
    if (IS("piecewise_stream")) {
      tell(session, 105, NULL, 0);
      return 1;
    }
    char *id = ask(session, 432, "", NULL);
    set_header(session, 100, "X-Id", id);
    free(id);
    tell(session, 103, text, (size_t)sprintf(text, "%zu", total));
    tell(session, IS("piecewise") ? END : NEXT, NULL, 0);
    return 1;
  }
  if (IS("reading_stream")) {
    size_t length;
    tell(session, 106, NULL, 0);
    tell_text(session, 104, "read: ");
    char *body = ask(session, 200, "", &length);
    tell(session, 104, body, length);
    free(body);
    tell(session, 105, NULL, 0);
    return 1;
  }
  if (IS("half_stream") || IS("broken_stream")) {
    tell(session, 106, NULL, 0);
    tell_text(session, 104, "half");
    tell(session, IS("half_stream") ? NEXT : 999, NULL, 0);
    return 1;
  }
  if (IS("fast_stream") || IS("big_stream")) {
    /* 100 MiB. */
    size_t length = IS("fast_stream") ? 65536 : 1 << 20;
    char *piece = calloc(1, length);
    tell(session, 106, NULL, 0);
    for (size_t sent = 0; sent < 100 << 20; sent += length) tell(session, 104, piece, length);
    tell(session, 105, NULL, 0);
    say(session, "written");
    free(piece);
    return 1;
  }
  return 0;
}

int on_register(Session *session) {
  if (IS("refused")) return 0;
  if (strchr(session->entry, '-')) say(session, "registered");
  if (IS("hang_register")) hang();
  if (IS("early")) tell(session, NEXT, NULL, 0);
  return 1;
}

int is_inline(const Session *session) { return !strncmp(session->entry, "inline", 6) || IS("hang_event"); }

void serve(Session *session, int phase) {
  static const char *const names[] = {"", "request:", "response:", "body:", "logging:"};
  if (IS("report")) {
    if (phase == REQUEST) report(session);
    else tell(session, NEXT, NULL, 0);
  } else if (IS("auth") || IS("inline")) {
    auth(session, phase);
  } else if (IS("thread") || IS("thread_slow")) {
    thread(session, phase);
  } else if (IS("hasty")) {
    hasty(session, phase);
  } else if (IS("until_closed")) {
    until_closed(session, phase);
  } else if (strstr(session->entry, "reads_") || IS("filter_pieces_437")) {
    reader(session, phase);
  } else if (IS("piece_then_whole") || IS("piece_then_stream")) {
    reader_again(session);
  } else if (IS("beside_200") || IS("beside_431")) {
    if (phase == REQUEST) reader_beside(session, IS("beside_200") ? 200 : 431);
    else tell(session, NEXT, NULL, 0);
  } else if (IS("refused_431")) {
    if (phase == REQUEST) reader_refused(session);
    else tell(session, NEXT, NULL, 0);
  } else if (!strncmp(session->entry, "filter_pieces", 13)) {
    if (phase == BODY) filter_pieces(session);
    else tell(session, NEXT, NULL, 0);
  } else if (IS("filter")) {
    filter(session, phase);
  } else if (IS("streams")) {
    if (phase == REQUEST) stream(session);
    else tell(session, NEXT, NULL, 0);
  } else if (!strncmp(session->entry, "socket", 6)) {
    if (phase == REQUEST) tell(session, 300, NULL, 0);
    else tell(session, NEXT, NULL, 0);
  } else if (IS("hang_event")) {
    hang();
  } else if (IS("body_twice") || IS("inline_body")) {
    if (phase == REQUEST) {
      size_t one, two;
      char *first = ask(session, 200, "", &one), *second = ask(session, 200, "", &two);
      set_header(session, 400, "X-Body", one == two && !memcmp(first, second, one) ? "same" : "different");
      free(first);
      free(second);
    }
    tell(session, NEXT, NULL, 0);
  } else if (IS("body_watcher")) {
    /* Reads the body of the answer and leaves it as it is. */
    if (phase == BODY) free(ask(session, 107, "", NULL));
    tell(session, NEXT, NULL, 0);
  } else if (IS("ordered")) {
    if (phase == REQUEST) {
      tell(session, 200, NULL, 0);
      tell(session, 204, NULL, 0);
      tell(session, 200, NULL, 0);
      tell(session, 209, NULL, 0);
      pthread_mutex_lock(&session->lock);
      while (session->answers < 4) pthread_cond_wait(&session->answered, &session->lock);
      pthread_mutex_unlock(&session->lock);
      set_header(session, 400, "X-Order", session->order);
    }
    tell(session, NEXT, NULL, 0);
  } else if (IS("body_reader")) {
    /* It reads what it may read: not the body of the answer. */
    if (phase == RESPONSE) free(ask(session, 107, "", NULL));
    tell(session, NEXT, NULL, 0);
  } else if (IS("phases") || IS("early") || IS("response_only")) {
    char text[32];
    sprintf(text, "phase %d", phase);
    say(session, text);
    tell(session, NEXT, NULL, 0);
  } else {
    /* `response:twice` does in the response filter what `twice` does in the request filter. */
    char *colon = strchr(session->entry, ':');
    size_t skip = colon ? (size_t)(colon - session->entry) + 1 : 0;
    int when = REQUEST;
    for (int other = REQUEST; other <= LOGGING; other++)
      if (skip && !strncmp(session->entry, names[other], skip)) when = other;
    if (phase == when) {
      Session same = *session;
      if (skip) {
        /* Only the name differs; answers come to the real one, so this is for what reads nothing. */
        memset(same.entry, 0, sizeof same.entry);
        strcpy(same.entry, session->entry + skip);
      }
      if (wrong(skip ? &same : session)) return;
    }
    tell(session, NEXT, NULL, 0);
  }
}
