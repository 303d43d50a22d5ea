/* Penstock plugin ABI 0.9: everything that a plugin and the daemon know about each other.
 *
 * A plugin is a shared object with ONE exported symbol, the data object `gw_plugin_entry`. The daemon exports
 * nothing; what a plugin may call comes in tables fetched by id ("gw.http/0") from gw_host.get_extension.
 * Plain C11, also C++11 and later. The tables stand in penstock/abi_request.h and penstock/abi_services.h,
 * which this file includes. Most authors want penstock_plugin.hpp, which is built on these three alone.
 *
 * Rules that hold everywhere, unless a comment below says otherwise
 *  - Layout: structs and tables begin with struct_size and are only ever appended to. An incompatible shape
 * is a new id ("gw.http/1") served beside the old one. Before using a member that was appended later, check
 * that struct_size covers it: GW_HAS(table, member).
 *  - Strings are views, never NUL-terminated by promise. From the host: valid until the hook (or callback)
 * that received or asked for them returns. To the host: copied before the call returns. No memory changes
 * owner across this border; there is no free().
 *  - Threads: every hook of one request runs on the worker thread that owns the request. configure, destroy,
 * init, deinit and event callbacks run on the main thread. A function is callable only on the thread that its
 * comment names: [configure] inside configure on the main thread, [worker] inside a hook of that request,
 *    [ANY THREAD] anywhere.
 *  - A host function called inside a hook only records; the host acts after the hook has returned. No hook is
 * ever entered while another hook of the same request runs.
 *  - Errors: gw_rc is GW_OK (0) or greater for success, negative for failure. Host functions never crash on a
 * wrong argument they can recognise: they return GW_EINVAL (or an empty view, or id 0).
 *  - Exceptions, longjmp and thread cancellation must not cross the border.
 */
#ifndef PENSTOCK_PLUGIN_H
#define PENSTOCK_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GW_ABI_MAJOR 0
#define GW_ABI_MINOR 9
#define GW_MAGIC 0x50574731u /* "1GWP" in memory on a little-endian machine */

#if defined(__GNUC__)
#define GW_EXPORT __attribute__((visibility("default")))
#else
#define GW_EXPORT
#endif

/* True when `table` (a pointer) is new enough to have `member`. */
#define GW_HAS(table, member) \
  ((table) != NULL &&         \
   (table)->struct_size >= (size_t)((const char*)(&(table)->member + 1) - (const char*)(table)))

/* ---- Basic types ---- */
typedef struct gw_str {
  const char* ptr; /* may be NULL when len is 0; NULL from a getter means: not there (as opposed to empty) */
  size_t len;
} gw_str;

typedef struct gw_req gw_req;       /* one exchange; valid from its first hook until on_complete returns */
typedef struct gw_worker gw_worker; /* one worker thread; valid from worker_start until worker_stop returns */
typedef struct gw_node gw_node;     /* one node of the configuration; valid until configure returns */
typedef struct gw_instance gw_instance; /* one named use of a plugin type; valid until destroy returns */
typedef struct gw_consumer gw_consumer; /* one configured consumer; valid until the hook returns */
typedef struct gw_metric gw_metric;     /* one declared metric; valid until destroy of its instance returns */

typedef struct gw_ticket { /* a paused request, by value: valid for ever, harmless when stale */
  uint64_t slot, gen;
} gw_ticket;

typedef uint32_t gw_id;    /* an interned header name, attribute or target; 0 is none */
typedef int32_t gw_rc;     /* >= 0 good, < 0 one of GW_E... */
typedef int32_t gw_action; /* what a hook returns; fixed width, never an enum type */

enum {
  GW_OK = 0,
  GW_ERROR = -1,  /* anything without a code of its own */
  GW_EINVAL = -2, /* an argument that cannot be */
  GW_ENOTFOUND = -3,
  GW_ESTATE = -4, /* not now: wrong hook or too late */
  GW_ELIMIT = -5, /* a bound of the host is reached */
  GW_ETIMEOUT = -6,
  GW_EUNAVAILABLE = -7 /* what the host would ask is away */
};

/* What a hook returns. Any other value, and any negative one, is an error of the plugin: the request follows
 * the instance's on_error (fail: 500 plugin.error; an authenticator's error is always a refusal). */
enum {
  GW_CONTINUE = 0,
  GW_RESPOND = 1, /* answer now, with what gw.http respond/problem recorded; without one it is an error */
  GW_PAUSE = 2,   /* wait for the ticket taken in this hook (gw.async); without a ticket it is an error */
  GW_BUFFER = 3,  /* body hooks: the host keeps this chunk. Header hooks: it keeps the head (see below) */
  GW_DETACH = 4, /* body and header hooks: this chunk or head goes on, and no further body or trailers hook of
                  * this plugin and direction is called */
  /* authenticate only */
  GW_ACCEPT = 16,        /* gw.consumer set_consumer, set_consumer_name or set_identity was called */
  GW_ABSENT = 17,        /* the request carries no credential of this kind */
  GW_REFUSE = 18,        /* gw.consumer refuse was called; without it: 401 auth.refused */
  GW_ACCEPT_BUFFER = 19, /* GW_ACCEPT, and the head waits for the body hook as after GW_BUFFER */
  /* explain only */
  GW_DEPENDS = 32
};

/* Body hooks get the body as it comes: chunks of any size, never empty but with GW_BODY_END, which the last
 * call of a direction has. Each plugin gets what the one before it let through: requests forwards through the
 * chain, answers backwards. They see what the backend sends and gets: of gRPC-Web its translation. Not
 * called: where there is no body (HEAD, 204, 304), for the gateway's own answers, after a 101, and of
 * authenticators but for those that accepted the request; nor do their trailers and upgrade hooks run.
 *  - GW_CONTINUE lets the chunk through, or what gw.http body_replace recorded in its place.
 *  - GW_BUFFER keeps it: the next chunk is all that was kept and what has come since, in one piece. More than
 * limits.body_buffer of the route, for each plugin and direction, is an error of the request (413
 * plugin.body_too_large) or of the answer (502 plugin.answer_too_large, or cut when its head is gone). Not
 * with GW_BODY_END.
 *  - GW_PAUSE (requests only) waits with the chunk; what on_resume returns is then the verdict on it. Little
 * more is read meanwhile. A pause that lasts too long ends the request, also of a plugin that may be skipped.
 *  - GW_RESPOND (requests only) answers, if no answer has begun, else cuts that one; what the backend has got
 * so far is cut.
 *  - After an error of a plugin that may be skipped the chunk goes on as it was.
 * The head goes on before the body, without its content-length, since nobody knows what the hooks will make
 * of it (the answer to a HEAD has none either, and a client of HTTP/1.0 sees the end of the connection). A
 * header hook that has no use for this body says GW_DETACH: when all plugins do, it goes on as if there were
 * none. A header hook of a plugin that has the body hook of its direction may return GW_BUFFER (authenticate:
 * GW_ACCEPT_BUFFER): then the head waits until something, or the end, comes out of the last plugin of that
 * direction, and until then body hooks may write the block's fields and, of the request, target, path and
 * attributes; no backend is chosen before. A client that expects a 100 (Continue) gets it from the gateway. A
 * body that is whole by then, or that all plugins want to see no more of, gets its content-length. Without a
 * body nothing waits. Of a held answer whose backend fails nothing is sent, but 502. The head's fields that
 * speak of its body (content-encoding, content-range, etag, digests) are the plugin's to mend.
 * Retries send what was let through: hooks run once. */
enum { GW_BODY_END = 1 };

/* Which header block. Reading: any that exists by then. Writing: the request's up to the end of the
 * request-header hooks, the response's inside on_response_headers, both also inside body hooks while the head
 * is held, trailers inside their hooks. */
enum { GW_REQUEST = 0, GW_RESPONSE = 1, GW_REQUEST_TRAILERS = 2, GW_RESPONSE_TRAILERS = 3 };

/* ---- What a plugin is ---- */
/* Host services. [ANY THREAD], valid from init to deinit. */
typedef struct gw_host {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor; /* what the daemon speaks */
  gw_str version;                /* of the daemon, "0.1.0"; lives as long as this struct */
  /* The table of that id or NULL; static data of the daemon. `id` is NUL-terminated: "gw.http/0". */
  const void* (*get_extension)(const struct gw_host*, const char* id);
} gw_host;

/* Handed to each hook; the struct itself is valid until the hook returns. */
typedef struct gw_call {
  gw_req* req;
  void* inst;   /* what configure stored */
  void* wstate; /* what worker_start stored on this worker */
  void* ctx;    /* ctx_size bytes of this request, zeroed before the first hook; aligned for any type */
} gw_call;

/* Everything about a finished exchange. Durations in nanoseconds, -1: not known or not applicable. */
typedef struct gw_summary {
  uint32_t struct_size;
  uint32_t flags;    /* GW_SUMMARY_... */
  uint16_t status;   /* sent to the client; 499 when the client went first; 0: nothing was sent */
  uint16_t attempts; /* tries on an upstream stream, 0 when answered locally */
  uint16_t http_major, http_minor; /* of the client's side */
  int64_t start_wall_ns;           /* since 1970 UTC: the first byte of the request head */
  int64_t total_ns;                /* start to the last byte given to the client's connection */
  int64_t first_byte_ns;           /* start to the first byte of the answer */
  int64_t upstream_ns;             /* of the winning attempt: request sent to answer complete */
  int64_t upstream_first_byte_ns;  /* of the winning attempt: request sent to the answer's head */
  int64_t connect_ns;              /* of the winning attempt; 0: a reused connection */
  int64_t queue_ns;                /* waiting for a slot of a circuit breaker or pool */
  int64_t auth_ns;                 /* in authenticators, pauses included */
  uint64_t request_header_bytes, request_body_bytes;
  uint64_t response_header_bytes, response_body_bytes; /* as sent to the client */
  gw_str reason; /* stable code, "limit.rate"; empty when the upstream's answer went through */
  gw_str plugin; /* instance that answered or failed; empty: the core or nobody */
  gw_str route;
  gw_str upstream;
  gw_str endpoint;    /* "127.0.0.1:9101" */
  gw_str protocol;    /* "HTTP/1.1", "HTTP/2" */
  gw_str tls_version; /* "TLSv1.3"; empty: plain text */
  gw_str tls_cipher;
  gw_str request_id;
  gw_str trace_id; /* 32 hex digits or empty */
  gw_str span_id;
  gw_str method, path, query, host;                /* what the attributes request.method ... say, and */
  gw_str client_address, consumer_id, api_version; /* these; ptr NULL: not known */
  /* With GW_SUMMARY_GRPC: from the path, ptr NULL when it names no method; what the call ended with, 0 to 16.
   * `status` is then what a client of HTTP would have got. */
  gw_str rpc_service, rpc_method;
  uint32_t grpc_status, reserved;
} gw_summary;

enum {
  GW_SUMMARY_UPGRADED = 1,      /* became a tunnel (101) */
  GW_SUMMARY_CLIENT_CLOSED = 2, /* the client left before the end */
  GW_SUMMARY_TRUNCATED = 4,     /* the answer was cut after its head */
  GW_SUMMARY_SAMPLED = 8,       /* the trace of this request is recorded */
  GW_SUMMARY_GRPC = 16          /* a call of gRPC */
};

/* What `penstock explain` shows for one plugin. */
enum { GW_ON_UNKNOWN = 0, GW_ON_LIMIT = 1, GW_ON_FETCH = 2, GW_ON_TIME = 3, GW_ON_RANDOM = 4 };
/* One try on an endpoint, for on_attempt. Views until the hook returns. */
typedef struct gw_attempt {
  uint32_t struct_size;
  uint16_t number;       /* from 1 */
  uint16_t status;       /* of its answer; 0: none (yet) */
  int64_t start_wall_ns; /* since 1970 UTC */
  int64_t duration_ns;   /* -1: it is about to begin */
  gw_str upstream, endpoint;
  gw_str reason;      /* why it failed, "upstream.reset"; empty: it did not */
  uint8_t span_id[8]; /* what the backend is told with gw.trace; else 0 */
} gw_attempt;

typedef struct gw_explanation {
  uint32_t struct_size;
  uint32_t depends_on; /* GW_ON_..., with GW_DEPENDS */
  gw_str detail; /* "client.address, 200/s"; the plugin's memory, valid until its next explain or destroy */
} gw_explanation;

/* One plugin type. Static data. A NULL hook is not on the chain and costs nothing.
 * Order of hooks for one request: authenticate or on_request_headers, request body, trailers; then, backwards
 * through the chain, on_response_headers, response body, trailers; on_complete last. on_response_headers and
 * on_complete run for every plugin of the route, also when an earlier one answered: ctx is then zero. */
typedef struct gw_plugin {
  uint32_t struct_size;
  uint32_t ctx_size; /* at most 4096 */
  gw_str type;       /* "rate_limit": what `type:` in the configuration names */
  gw_str version;    /* of the plugin */
  /* JSON Schema (draft-07) of this type's keys, or NULL. Main thread. The text lives until deinit. */
  gw_str (*schema)(void);
  const char* const* needs; /* extension ids, NULL-terminated, or NULL; a missing one refuses the plugin */

  /* Main thread. Reads cfg, stores the instance. Errors are recorded with gw.config error (a negative return
   * without one becomes an error at the instance's name); after any error destroy is called only if *inst was
   * set. Must not start threads or open sockets: `check` and `explain` call it too. */
  gw_rc (*configure)(const gw_node* cfg, void** inst);
  /* Main thread, after the last request, worker, ticket and offloaded work of the instance are gone. */
  void (*destroy)(void* inst);
  /* That worker's thread, before its first request. Threads and files start here. Negative: the snapshot is
   * refused. */
  gw_rc (*worker_start)(void* inst, gw_worker*, void** wstate);
  /* That worker's thread, after its last request. */
  void (*worker_stop)(void* inst, gw_worker*, void* wstate);

  gw_action (*authenticate)(
      const gw_call*); /* non-NULL: this is an authenticator; only such may stand under auth: */
  gw_action (*on_request_headers)(const gw_call*);
  gw_action (*on_request_body)(const gw_call*, gw_str chunk, uint32_t flags);
  /* Only when there are trailers, after the GW_BODY_END of all. GW_CONTINUE; the request's also GW_RESPOND.
   */
  gw_action (*on_request_trailers)(const gw_call*);
  gw_action (*on_response_headers)(const gw_call*); /* never for 1xx */
  gw_action (*on_response_body)(const gw_call*, gw_str chunk, uint32_t flags);
  gw_action (*on_response_trailers)(const gw_call*);
  /* A 101 is about to be forwarded; on_response_headers was called (and is called again for a refusal), no
   * body hook follows. Backwards through the chain. GW_RESPOND refuses it. */
  gw_action (*on_upgrade)(const gw_call*);
  gw_action (*on_resume)(const gw_call*,
                         void* data); /* answers GW_PAUSE: `data` is what resume was given, or
                                       * the result that the host promised (gw.fetch, gw.kv) */
  void (*on_complete)(const gw_call*, const gw_summary*); /* exactly once, the last event of the request */

  /* What the request hook (or authenticate) would do, without doing it: nothing is counted, stored or sent.
   * Returns GW_CONTINUE, GW_RESPOND, GW_ACCEPT, GW_ABSENT, GW_REFUSE (each with the records that the request
   * hook would make: attributes, target, respond, refuse) or GW_DEPENDS with *out filled. NULL:
   * depends(unknown). wstate is NULL here. Thread: the one that explains. */
  gw_action (*explain)(const gw_call*, gw_explanation* out);

  /* What this instance would tell an operator, as one JSON object of at most 64 KiB; valid until its next
   * call or destroy. Main thread. No secrets. NULL: nothing. */
  gw_str (*status)(void* inst);

  /* Each try on an endpoint twice: when it is about to begin, after the endpoint was picked, and when it is
   * over. The last comes before on_complete. */
  void (*on_attempt)(const gw_call*, const gw_attempt*);
} gw_plugin;

typedef struct gw_entry {
  uint32_t magic;                /* GW_MAGIC */
  uint32_t struct_size;          /* sizeof(gw_entry) */
  uint16_t abi_major, abi_minor; /* GW_ABI_MAJOR, GW_ABI_MINOR that it was built with */
  uint32_t flags;                /* 0 */
  /* Main thread, once after loading, before anything else; negative refuses the library. May be NULL. */
  gw_rc (*init)(const gw_host*);
  /* Main thread, before unloading. May be NULL. */
  void (*deinit)(void);
  const gw_plugin* const* plugins; /* NULL-terminated */
} gw_entry;

/* The only exported symbol. */
extern GW_EXPORT const gw_entry gw_plugin_entry;

#include "penstock/abi_request.h"
#include "penstock/abi_services.h"

#ifdef __cplusplus
}
#endif
#endif /* PENSTOCK_PLUGIN_H */
