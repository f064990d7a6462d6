/* What the entries of this library are made of. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../include/nylon_plugin.h"

enum { NEXT = 1, END = 2, PAYLOAD = 3 };
enum { REQUEST = 1, RESPONSE = 2, BODY = 3, LOGGING = 4 };

typedef struct Session {
  uint32_t sid;
  char entry[64];
  data_event_fn call;
  pthread_mutex_t lock;
  pthread_cond_t answered;
  /* The last answer, and for which method it is. */
  uint32_t method;
  unsigned char *answer;
  uint64_t length;
  unsigned answers;
  /* The gateway has closed it; `answered` is signalled. */
  int closed;
  /* Its response filter has said everything; `answered` is signalled. */
  int responded;
  /* The last read had no answer: the session has ended. */
  int unanswered;
  /* The methods of all answers, as they came. */
  char order[128];
  struct Session *next;
} Session;

/* Calls the gateway. */
void tell(Session *session, uint32_t method, const void *payload, size_t length);
void tell_text(Session *session, uint32_t method, const char *text);
/* Reads something; NUL-terminated, to be freed, with its length. */
char *ask(Session *session, uint32_t method, const char *argument, size_t *length);
/* The answer to a read that has been asked for when there were `before` answers, likewise. */
char *await_answer(Session *session, uint32_t method, unsigned before, size_t *length);
void set_header(Session *session, uint32_t method, const char *name, const char *value);
void set_status(Session *session, uint16_t status);

/* What the entry does in a phase. */
void serve(Session *session, int phase);
/* What it does with an event of its WebSocket. */
void on_socket(Session *session, uint32_t method, const unsigned char *payload, size_t length);
/* What it does before it returns from hearing that the session is over. */
void on_close(Session *session);
/* 0: refuse the session. */
int on_register(Session *session);
/* 1: serve on the thread that starts the phase. */
int is_inline(const Session *session);

#endif
