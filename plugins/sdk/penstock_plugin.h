/* Penstock plugin ABI 0.9: everything that a plugin and the daemon know about each other.
 *
 * A plugin is a shared object with ONE exported symbol, the data object `gw_plugin_entry`. The daemon exports
 * nothing; what a plugin may call comes in tables fetched by id ("gw.http/0") from gw_host.get_extension.
 * Plain C11, also C++11 and later. Most authors want penstock_plugin.hpp, which is built on this file alone.
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
  GW_ELIMIT = -5  /* a bound of the host is reached */
};

/* What a hook returns. Any other value, and any negative one, is an error of the plugin: the request follows
 * the instance's on_error (fail: 500 plugin.error; an authenticator's error is always a refusal). */
enum {
  GW_CONTINUE = 0,
  GW_RESPOND = 1, /* answer now, with what gw.http respond/problem recorded; without one it is an error */
  GW_PAUSE = 2,   /* wait for the ticket taken in this hook (gw.async); without a ticket it is an error */
  GW_BUFFER = 3,  /* body hooks: keep this chunk and call again with more (bounded by the host) */
  GW_DETACH = 4,  /* body hooks: no further body hook for this plugin and direction */
  /* authenticate only */
  GW_ACCEPT = 16, /* gw.consumer set_consumer, set_consumer_name or set_identity was called */
  GW_ABSENT = 17, /* the request carries no credential of this kind */
  GW_REFUSE = 18, /* gw.consumer refuse was called; without it: 401 auth.refused */
  /* explain only */
  GW_DEPENDS = 32
};

/* Flags of body hooks. */
enum { GW_BODY_END = 1 };

/* Which header block. Reading: any that exists by then. Writing: the request's up to the end of the
 * request-header hooks, the response's inside on_response_headers, trailers inside their hooks. */
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
  /* Main thread, after the last request, worker and ticket of the instance are gone. */
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
  gw_action (*on_request_trailers)(const gw_call*);
  gw_action (*on_response_headers)(const gw_call*); /* never for 1xx */
  gw_action (*on_response_body)(const gw_call*, gw_str chunk, uint32_t flags);
  gw_action (*on_response_trailers)(const gw_call*);
  gw_action (*on_upgrade)(const gw_call*); /* a 101 is about to be forwarded; no body hook follows */
  gw_action (*on_resume)(const gw_call*, void* data); /* answers GW_PAUSE: `data` is what resume was given */
  void (*on_complete)(const gw_call*, const gw_summary*); /* exactly once, the last event of the request */

  /* What the request hook (or authenticate) would do, without doing it: nothing is counted, stored or sent.
   * Returns GW_CONTINUE, GW_RESPOND, GW_ACCEPT, GW_ABSENT, GW_REFUSE (each with the records that the request
   * hook would make: attributes, target, respond, refuse) or GW_DEPENDS with *out filled. NULL:
   * depends(unknown). wstate is NULL here. Thread: the one that explains. */
  gw_action (*explain)(const gw_call*, gw_explanation* out);
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

/* ---- gw.http/0: the request and its answer ---- */
/* One field. Return 0 to go on, anything else ends the walk. The views die with the callback. */
typedef gw_rc (*gw_header_fn)(void* user, gw_str name, gw_str value);

typedef struct gw_http_v0 {
  uint32_t struct_size, reserved;

  /* [configure, init] Ids are stable for the life of the process and compare as integers. Header names are
   * case-insensitive. 0: not a valid name, or (attribute_id) not in the vocabulary:
   * client.address consumer.id consumer.groups request.method request.id request.scheme request.host
   * request.path request.query request.size request.protocol response.status response.size reason route.name
   * upstream.name endpoint.address api.version duration.total header.NAME query.NAME cookie.NAME path.NAME
   * claim.NAME */
  gw_id (*header_id)(const gw_host*, gw_str name);
  gw_id (*attribute_id)(const gw_host*, gw_str name);
  /* [ANY THREAD] The id of an attribute that somebody interned, else 0; takes a lock, so not once a request.
   * attribute_epoch changes whenever a new one was interned: a cache of lookups is good while it is equal. */
  gw_id (*attribute_find)(const gw_host*, gw_str name);
  uint32_t (*attribute_epoch)(const gw_host*);

  /* [worker] Header fields of a block (GW_REQUEST ...). header_get: the index-th field of that name (0
   * first); ptr NULL: there is none. header_count: how many. header_each: all fields in order. */
  gw_str (*header_get)(gw_req*, uint32_t block, gw_id name, uint32_t index);
  uint32_t (*header_count)(gw_req*, uint32_t block, gw_id name);
  void (*header_each)(gw_req*, uint32_t block, gw_header_fn, void* user);
  /* [worker] set replaces all fields of the name with one; add appends; remove drops all.
   * GW_EINVAL: a value with CR, LF or NUL, or a framing header (content-length, transfer-encoding,
   * connection, host); GW_ESTATE: this block cannot be written in this hook; GW_ELIMIT: too many header
   * bytes. */
  gw_rc (*header_set)(gw_req*, uint32_t block, gw_id name, gw_str value);
  gw_rc (*header_add)(gw_req*, uint32_t block, gw_id name, gw_str value);
  gw_rc (*header_remove)(gw_req*, uint32_t block, gw_id name);

  /* [worker] get: ptr NULL when the attribute is not known for this request (or not yet). The view is valid
   * until the hook returns. set: api.version (not in authenticate) and claim.NAME; others GW_EINVAL,
   * and so is a value with a control byte, since attributes are written into header fields.
   * What an authenticator sets is kept only when it returns GW_ACCEPT. */
  gw_str (*attribute_get)(gw_req*, gw_id);
  gw_rc (*attribute_set)(gw_req*, gw_id, gw_str value);

  /* [worker, explain] Chooses where this request goes: an id from gw.config target. Last call wins.
   * GW_ENOTFOUND: no such target. */
  gw_rc (*target_set)(gw_req*, gw_id target);
  /* [worker, request-header hooks] The path (without query) to send upstream, canonical form, beginning with
   * '/'. */
  gw_rc (*rewrite_path)(gw_req*, gw_str path);

  /* [worker, explain] Record the answer that GW_RESPOND gives. `reason` is a stable code like "limit.rate".
   * respond: any body with its content type (empty: none).
   * problem: application/problem+json (RFC 9457) made by the core; `detail` for a human; `members` is empty
   * or JSON object members without braces, `"versions":["v1","v2"]`, appended as they are. respond_header: a
   * field of that answer (after respond or problem, before the hook returns). GW_ELIMIT: a body, detail or
   * members over 16 MiB. */
  gw_rc (*respond)(gw_req*, uint32_t status, gw_str reason, gw_str content_type, gw_str body);
  gw_rc (*problem)(gw_req*, uint32_t status, gw_str reason, gw_str detail, gw_str members);
  gw_rc (*respond_header)(gw_req*, gw_id name, gw_str value);

  /* [worker] Bytes that live as long as the request, aligned for any type, not zeroed; NULL above 64 KiB in
   * one hook. */
  void* (*arena_alloc)(gw_req*, size_t size);
} gw_http_v0;
#define GW_HTTP_V0 "gw.http/0"

/* ---- gw.consumer/0: who is asking ---- */
enum { GW_CREDENTIAL_API_KEY = 1, GW_CREDENTIAL_JWT = 2 };
enum { GW_CARRIER_HEADER = 1, GW_CARRIER_QUERY = 2, GW_CARRIER_COOKIE = 3 };

typedef struct gw_consumer_v0 {
  uint32_t struct_size, reserved;

  /* [configure] What WWW-Authenticate says for this authenticator, `ApiKey realm="keys"`. */
  gw_rc (*challenge)(gw_instance*, gw_str text);
  /* [configure] Where this authenticator reads its credential: it is not forwarded upstream (unless
   * forward_credentials: true), and the access log masks it. Query names are given percent-decoded. */
  gw_rc (*carrier)(gw_instance*, uint32_t kind, gw_str name);

  /* [worker, explain] The consumer that owns this credential, or NULL. Compared in constant time. An API key
   * matches plain and sha256: entries; a JWT value matches `credentials: { jwt: [{ plugin: THIS INSTANCE,
   * value }] }`. */
  const gw_consumer* (*lookup)(gw_req*, const gw_instance*, uint32_t credential, gw_str value);
  gw_str (*name)(const gw_consumer*);

  /* [worker, explain; authenticate only] Record who it is, for GW_ACCEPT. The last call wins.
   * set_consumer: a configured consumer, with its groups.
   * set_consumer_name: the configured consumer of that name; if there is none, like set_identity. Only for
   * names that come from the configuration, never from the request. set_identity: somebody that only this
   * instance knows: consumer.id is "INSTANCE:id" (1 to 1024 bytes without control bytes, else GW_EINVAL),
   * groups "INSTANCE:group". */
  gw_rc (*set_consumer)(gw_req*, const gw_consumer*);
  gw_rc (*set_consumer_name)(gw_req*, gw_str name);
  gw_rc (*set_identity)(gw_req*, const gw_instance*, gw_str id, const gw_str* groups, size_t count);
  /* [worker, explain; authenticate only] For GW_REFUSE: 401 or 403, a stable reason "auth....", and a
   * challenge in place of the declared one (empty: the declared one). */
  gw_rc (*refuse)(gw_req*, uint32_t status, gw_str reason, gw_str challenge);

  /* [worker] Whether the accepted consumer of this request is in the group; 1 or 0. */
  int32_t (*in_group)(gw_req*, gw_str group);
} gw_consumer_v0;
#define GW_CONSUMER_V0 "gw.consumer/0"

/* ---- gw.connection/0: the client's connection ---- */
typedef struct gw_connection_v0 {
  uint32_t struct_size, reserved;
  /* [worker] Views until the hook returns. peer_address is the TCP peer, not the attribute client.address. */
  gw_str (*peer_address)(gw_req*); /* "203.0.113.9:51234", "[::1]:51234", "unix:" */
  gw_str (*listener)(gw_req*);     /* the listener's name */
  gw_str (*tls_version)(gw_req*);  /* "TLSv1.3"; ptr NULL: plain text */
  gw_str (*server_name)(gw_req*);  /* SNI; ptr NULL: none */
} gw_connection_v0;
#define GW_CONNECTION_V0 "gw.connection/0"

/* ---- gw.clock/0: time that tests and explain can choose ---- */
typedef struct gw_clock_v0 {
  uint32_t struct_size, reserved;
  /* [ANY THREAD] Nanoseconds since 1970 UTC; nanoseconds of a clock that never goes back. */
  int64_t (*wall)(const gw_host*);
  int64_t (*monotonic)(const gw_host*);
  /* [worker, explain] The same as this request sees them: read once an event-loop turn: they cost nothing. */
  int64_t (*request_wall)(gw_req*);
  int64_t (*request_monotonic)(gw_req*);
} gw_clock_v0;
#define GW_CLOCK_V0 "gw.clock/0"

/* ---- gw.async/0: waiting without blocking the worker ---- */
typedef struct gw_async_v0 {
  uint32_t struct_size, reserved;
  /* [worker] A ticket for the GW_PAUSE that this hook is about to return. The newest one counts. The host
   * ends a pause that lasts too long as an error of the plugin. slot and gen 0: no pausing here. */
  gw_ticket (*ticket)(gw_req*);
  /* [ANY THREAD] Calls on_resume with `data` on the request's worker, later, never inside this call. Returns
   * 1 when it was taken: then on_resume gets `data`, unless the request ends first (on_complete is then the
   * last word, so what `data` points to must be reachable from there); 0 when the ticket is stale (resumed
   * already, timed out, request gone): the caller still owns what it points to. */
  gw_rc (*resume)(const gw_host*, gw_ticket, void* data);
  /* [worker] Resumes the ticket with `data` after that time, unless something else did before. */
  gw_rc (*resume_after)(gw_req*, gw_ticket, int64_t after_ns, void* data);
} gw_async_v0;
#define GW_ASYNC_V0 "gw.async/0"

/* ---- gw.kv/0: state that survives a reload ---- */
/* One window of a rate limit. count per period; burst is what may come at once. All three >= 1,
 * count and burst < 2^32, period_ns < 2^53. */
typedef struct gw_limit {
  uint64_t count;
  int64_t period_ns;
  uint64_t burst;
} gw_limit;

typedef struct gw_limit_state {
  uint64_t remaining;     /* what could still come at once, after this call */
  int64_t reset_ns;       /* until the whole burst is there again; 0: it is */
  int64_t retry_after_ns; /* until `cost` would fit; 0: it fits (or fitted) */
} gw_limit_state;

enum { GW_GCRA_PEEK = 1 }; /* judge and report, change nothing */

typedef struct gw_kv_v0 {
  uint32_t struct_size, reserved;
  /* [ANY THREAD] Generic cell rate algorithm, exact over all workers: from rest, at most burst + floor(rate *
   * t) are admitted over a time t, and exactly so many if enough come; at a frozen clock N threads admit
   * exactly burst. All windows are judged together: refused by one, consumed in none. Returns 1 admitted, 0
   * refused, < 0 error. `now_ns` is monotonic time (gw.clock); `out` is NULL or has `count` elements. Keys
   * are kept apart by plugin type and instance name, and survive a reload. A changed count or period starts
   * fresh, a changed burst keeps the state. At most 8 limits a call. The store is bounded: keys at rest go
   * first. */
  gw_rc (*gcra)(gw_instance*, gw_str key, const gw_limit* limits, size_t count, uint64_t cost, int64_t now_ns,
                uint32_t flags, gw_limit_state* out);
} gw_kv_v0;
#define GW_KV_V0 "gw.kv/0"

/* ---- gw.config/0: the instance's part of the configuration ---- */
enum { GW_NODE_NULL = 0, GW_NODE_SCALAR = 1, GW_NODE_LIST = 2, GW_NODE_MAP = 3 };
enum { GW_HOOK_RESPONSE_HEADERS = 1 };

typedef struct gw_config_v0 { /* [configure] for the whole table, but for instance_name */
  uint32_t struct_size, reserved;

  int32_t (*kind)(const gw_node*);
  const gw_node* (*get)(const gw_node* map, gw_str key); /* NULL: no such key */
  size_t (*size)(const gw_node*);                        /* of a list or map, else 0 */
  const gw_node* (*item)(const gw_node*, size_t index);  /* of a list; of a map: the value */
  gw_str (*key)(const gw_node* map, size_t index);       /* in the order written */

  /* Typed scalars. When the node is something else they record an error at its place that says what is
   * allowed, and return GW_EINVAL; *out is then untouched. */
  gw_rc (*get_string)(const gw_node*, gw_str* out);
  gw_rc (*get_int)(const gw_node*, int64_t* out);
  gw_rc (*get_bool)(const gw_node*, int32_t* out);
  gw_rc (*get_double)(const gw_node*, double* out);
  gw_rc (*get_duration)(const gw_node*, int64_t* out_ns);                         /* 500ms, 5s, 2m, 1h */
  gw_rc (*get_size)(const gw_node*, uint64_t* out_bytes);                         /* 64KiB, 10MiB */
  gw_rc (*get_rate)(const gw_node*, uint64_t* out_count, int64_t* out_period_ns); /* 100/s, 5000/h */
  gw_rc (*get_percentage)(const gw_node*, double* out_fraction);                  /* 5% is 0.05 */
  /* A target (an upstream or a split; the core owns it). `node` is a map with at most one of upstream:,
   * split: (with split_by:), redirect:, respond: among its keys, or a scalar that names an upstream. *out 0:
   * the map has none of them. Those keys then count as known. */
  gw_rc (*get_target)(const gw_node*, gw_id* out);
  /* An absolute path for a relative one in the configuration: relative to the file that names it. The view
   * lives until configure returns. */
  gw_str (*path)(const gw_node*, gw_str relative);

  /* Records a diagnostic at the node; error makes the configuration invalid. */
  void (*error)(const gw_node*, gw_str message);
  void (*warning)(const gw_node*, gw_str message);
  /* An error for each key of the map that is not listed, with the nearest right word. The instance's own map
   * may also hold the keys of every instance (type, on_error, forward_credentials). */
  void (*check_keys)(const gw_node* map, const gw_str* known, size_t count);

  /* The instance that is being configured. */
  gw_instance* (*instance)(const gw_node*);
  /* [ANY THREAD] Its name as in the configuration; valid as long as the instance. */
  gw_str (*instance_name)(const gw_instance*);

  /* The index-th carrier (gw.consumer) of the configuration's authenticators, for whoever writes down what
   * clients sent; GW_ENOTFOUND past the last. The name lives until configure returns. */
  gw_rc (*credential)(const gw_node*, size_t index, uint32_t* out_kind, gw_str* out_name);

  /* Hooks (GW_HOOK_...) in which this instance, as configured, has nothing to do: as if they were NULL. */
  gw_rc (*without)(const gw_node*, uint32_t hooks);
} gw_config_v0;
#define GW_CONFIG_V0 "gw.config/0"

/* ---- gw.log/0, gw.metric/0, gw.event/0 ---- */
enum { GW_LOG_DEBUG = 0, GW_LOG_INFO = 1, GW_LOG_WARNING = 2, GW_LOG_ERROR = 3 };

typedef struct gw_log_v0 {
  uint32_t struct_size, reserved;
  /* [ANY THREAD] The daemon's own log (not the access log). The host adds time, plugin and instance. No
   * secrets, no bodies; nothing at info per request. `instance` may be NULL. */
  void (*write)(const gw_host*, const gw_instance*, uint32_t level, gw_str message);
  /* [worker] The same with the request id. */
  void (*write_request)(gw_req*, const gw_instance*, uint32_t level, gw_str message);
  /* [ANY THREAD] 1 when messages of that level are written. */
  int32_t (*enabled)(const gw_host*, uint32_t level);
} gw_log_v0;
#define GW_LOG_V0 "gw.log/0"

typedef struct gw_metric_v0 {
  uint32_t struct_size, reserved;
  /* [configure] Declares a series with the label plugin=INSTANCE and one more label of the plugin's own
   * (label empty: none). Same name, labels and instance: the same series, over reloads too. NULL: bad name or
   * too many series (the number of series must be known at load: never declare from request data). Counters
   * are named ..._total. */
  gw_metric* (*counter)(gw_instance*, gw_str name, gw_str help, gw_str label, gw_str label_value);
  gw_metric* (*histogram)(gw_instance*, gw_str name, gw_str help, gw_str label, gw_str label_value,
                          const double* upper_bounds, size_t count);
  /* [ANY THREAD] Wait-free, one shard a thread. A NULL metric is ignored. */
  void (*add)(gw_metric*, uint64_t delta);
  void (*observe)(gw_metric*, double value);
} gw_metric_v0;
#define GW_METRIC_V0 "gw.metric/0"

enum { GW_EVENT_REOPEN_LOGS = 1, GW_EVENT_DRAIN = 2 };

typedef struct gw_event_v0 {
  uint32_t struct_size, reserved;
  /* [configure] Calls fn(user, event) on the main thread for the events of the mask, until destroy begins. fn
   * must not block. */
  gw_rc (*subscribe)(gw_instance*, uint32_t mask, void (*fn)(void* user, uint32_t event), void* user);
} gw_event_v0;
#define GW_EVENT_V0 "gw.event/0"

#ifdef __cplusplus
}
#endif
#endif /* PENSTOCK_PLUGIN_H */
