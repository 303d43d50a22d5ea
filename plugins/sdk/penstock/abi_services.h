/* The tables of what the host does for a plugin: waiting, state, configuration, logs, metrics, events.
 * Included by penstock_plugin.h, whose rules hold here; not to be included alone. */
#ifndef PENSTOCK_ABI_SERVICES_H
#define PENSTOCK_ABI_SERVICES_H

#ifdef __cplusplus
extern "C" {
#endif

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
  /* [worker] Runs work(data) on a thread of the host's pool, for what would hold up a worker (a password's
   * hash, a signature), then resumes the ticket with data. Exactly one gets data in the end: on_resume, or
   * discard (any thread; may be NULL), when the request has ended or its pause took too long. What is stale
   * before its turn comes is discarded without having run. The instance lives until both are over, also
   * after its last request. work and discard call nothing but what is [ANY THREAD]; what they use of the
   * request they have copied. GW_EINVAL: the ticket is stale; GW_ELIMIT: limits.plugin_work pieces of work
   * are under way or wait; then nothing is called, and data stays with the caller. */
  gw_rc (*offload)(gw_req*, gw_ticket, void (*work)(void* data), void (*discard)(void* data), void* data);
} gw_async_v0;
#define GW_ASYNC_V0 "gw.async/0"

/* ---- gw.kv/0: state that survives a reload ---- */
/* One window of a rate limit: count per period; burst is what may come at once. All three >= 1, count and
 * burst < 2^32, period_ns < 2^53.
 * Or a quota: burst is GW_LIMIT_QUOTA + a number (< 2^32) that tells it from other quotas of the same key.
 * Then count (up to 2^53) is what may come in all until the window ends, which it does period_ns from now: a
 * day, a month, or what else is a day or longer. A changed count keeps what is used. */
#define GW_LIMIT_QUOTA ((uint64_t)1 << 32)
typedef struct gw_limit {
  uint64_t count;
  int64_t period_ns;
  uint64_t burst;
} gw_limit;

typedef struct gw_limit_state {
  uint64_t remaining;     /* what could still come at once, after this call */
  int64_t reset_ns;       /* until the whole burst is there again; 0: it is */
  int64_t retry_after_ns; /* until `cost` would fit; 0: it fits (or fitted); INT64_MAX: never, it is over the
                           * burst */
} gw_limit_state;

enum { GW_GCRA_PEEK = 1 }; /* judge and report, change nothing */

typedef struct gw_store gw_store; /* valid as long as the instance that asked for it */
typedef struct gw_store_answer {
  uint32_t struct_size;
  gw_rc rc;                     /* what the namesake would have returned */
  int64_t value;                /* of add */
  const gw_limit_state* states; /* of gcra, one a limit */
  size_t count;
} gw_store_answer;

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

  /* [ANY THREAD] Values of this process: keys of up to 64 KiB, values of up to 16 KiB, kept apart like
   * limits, and over reloads too. An entry is gone when its ttl is over (0: never), or when
   * limits.plugin_store is full: then what has expired goes first, then what was used longest ago. A number
   * (add) without a ttl counts what somebody holds: it is never given up, and is gone when it is 0. now_ns as
   * above. get: copies at most `capacity` bytes; returns the value's length, or GW_ENOTFOUND. set: GW_ELIMIT:
   * too long, or everything there is held. cas: stores `value` if what is there equals `expected` (ptr NULL:
   * nothing is there); 1 stored, 0 not. del: 1 was there, expired or not. add: a 64-bit number, 0 where there
   * is none, made with that ttl, which later calls do not change; adds delta unless the sum would be over
   * `most` or under 0: 1 added, 0 not; *value (may be NULL) is what then stands there. Exact over all
   * workers. GW_ESTATE: the entry is of the other kind. */
  gw_rc (*get)(gw_instance*, gw_str key, int64_t now_ns, char* value, size_t capacity);
  gw_rc (*set)(gw_instance*, gw_str key, int64_t now_ns, gw_str value, int64_t ttl_ns);
  gw_rc (*cas)(gw_instance*, gw_str key, int64_t now_ns, gw_str expected, gw_str value, int64_t ttl_ns);
  gw_rc (*del)(gw_instance*, gw_str key);
  gw_rc (*add)(gw_instance*, gw_str key, int64_t now_ns, int64_t delta, int64_t most, int64_t ttl_ns,
               int64_t* value);

  /* Stores that several processes share.
   * store: [configure] the one that the configuration describes under that name ("redis"); NULL: the error
   * was recorded. It lives as long as the instance.
   * The others: [worker] as their namesakes above, by the store's own clock (in us) and with numbers under
   * 2^53, answered later: GW_OK, then the hook returns GW_PAUSE and on_resume's data is a const
   * gw_store_answer*, valid until on_resume returns. GW_EUNAVAILABLE: the store is known to be away,
   * GW_ELIMIT: too many answers are waited for; nothing was asked. The answer comes within the store's
   * timeout, with GW_ETIMEOUT or GW_EUNAVAILABLE if it has to, and with GW_ERROR if what came makes no sense;
   * it may have counted all the same. A number's ttl begins when it is made; 0: it stays. processes: [ANY
   * THREAD] how many share the store, as last seen; at least 1. */
  gw_store* (*store)(const gw_node* at, gw_str name);
  gw_rc (*store_gcra)(gw_req*, gw_ticket, gw_store*, gw_instance*, gw_str key, const gw_limit* limits,
                      size_t count, uint64_t cost);
  gw_rc (*store_add)(gw_req*, gw_ticket, gw_store*, gw_instance*, gw_str key, int64_t delta, int64_t most,
                     int64_t ttl_ns);
  uint32_t (*processes)(const gw_store*);
} gw_kv_v0;
#define GW_KV_V0 "gw.kv/0"

/* ---- gw.config/0: the instance's part of the configuration ---- */
enum { GW_NODE_NULL = 0, GW_NODE_SCALAR = 1, GW_NODE_LIST = 2, GW_NODE_MAP = 3 };
/* GW_HOOK_COMPLETE: on_complete; such an instance cannot pause, since nobody would tell it of the end. */
enum {
  GW_HOOK_RESPONSE_HEADERS = 1,
  GW_HOOK_REQUEST_BODY = 2,
  GW_HOOK_RESPONSE_BODY = 4,
  GW_HOOK_COMPLETE = 8
};

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
  /* [configure] A number that goes up and down, of the whole process; it stays over a reload until it is set
   * again. set: [ANY THREAD], the last one counts. Each of add, observe and set does nothing to a series of
   * another kind. */
  gw_metric* (*gauge)(gw_instance*, gw_str name, gw_str help, gw_str label, gw_str label_value);
  void (*set)(gw_metric*, double value);
} gw_metric_v0;
#define GW_METRIC_V0 "gw.metric/0"

/* START: the instance's configuration was taken, requests come from now on; never under `check` or `explain`.
 * TICK: once a second after that. REOPEN_LOGS, DRAIN: whenever they happen, also before START. */
enum { GW_EVENT_REOPEN_LOGS = 1, GW_EVENT_DRAIN = 2, GW_EVENT_START = 4, GW_EVENT_TICK = 8 };

typedef struct gw_event_v0 {
  uint32_t struct_size, reserved;
  /* [configure] Calls fn(user, event) on the main thread for the events of the mask, until destroy begins. fn
   * must not block. */
  gw_rc (*subscribe)(gw_instance*, uint32_t mask, void (*fn)(void* user, uint32_t event), void* user);
  /* [ANY THREAD, until destroy returns] Calls fn(user) on the main thread, later, in the order posted, unless
   * destroy begins first: then never. fn must not block. GW_ELIMIT: limits.plugin_posts calls of this
   * instance wait already; GW_ESTATE: under `check` and `explain` there is nobody to call it. */
  gw_rc (*post)(gw_instance*, void (*fn)(void* user), void* user);
} gw_event_v0;
#define GW_EVENT_V0 "gw.event/0"

/* ---- gw.fetch/0: asking somebody over HTTP ---- */
typedef struct gw_field {
  gw_str name, value;
} gw_field;

/* Asking twice does no harm, whatever the method. A question goes out a second time when the connection that
 * it was sent on had been used before and was gone: with this flag, with a method that is idempotent by its
 * definition, or when no byte of it had left. */
enum { GW_FETCH_HARMLESS = 1 };

typedef struct gw_fetch_request {
  uint32_t struct_size, flags; /* GW_FETCH_... */
  gw_str method;               /* empty: GET */
  gw_str path;                 /* with its query, in place of the URL's; empty: the URL's own */
  /* At most 100. Not those that the host writes: host, content-length, transfer-encoding, connection and its
   * kind, expect, accept-encoding (the answer is wanted as it is). */
  const gw_field* fields;
  size_t field_count;
  gw_str body;        /* at most 1 MiB */
  int64_t timeout_ns; /* of all of it; 0: 5 s; at most 60 s. A request waits 10 s at most (gw.async) */
  uint64_t max_bytes; /* of the answer's body; 0: 1 MiB; at most 64 MiB */
} gw_fetch_request;

typedef struct gw_fetch_answer {
  uint32_t struct_size;
  uint32_t status; /* 0: there is no whole answer, and `reason` says why */
  gw_str reason;   /* a stable code: "upstream.connect.refused", "fetch.timeout", "fetch.too_large", ... */
  const gw_field* fields; /* names in lower case; never more than 200 or 64 KiB of them */
  size_t field_count;
  gw_str body;
} gw_fetch_answer;

typedef struct gw_fetch_v0 {
  uint32_t struct_size, reserved;
  /* [configure] Whom to ask: a scalar with an absolute URL (http:// or https://), or a map with `url` and,
   * for https, `tls` as an upstream has it. Connections are pooled, names resolved and certificates verified
   * by the host, and HTTP/2 is spoken where TLS agrees on it; no redirect is followed. An error is recorded
   * at the node. The id is good for this instance alone. */
  gw_rc (*endpoint)(const gw_node*, gw_id* out);
  /* [worker] Asks, for a request: GW_OK, then the hook returns GW_PAUSE and on_resume's data is a const
   * gw_fetch_answer*, valid until on_resume returns. Cut when the request ends first, or the ticket is
   * resumed by something else. One for each ticket. GW_ELIMIT: limits.plugin_fetches are under way;
   * GW_EINVAL: what is asked cannot be sent as one request. Then the ticket leads nowhere yet. */
  gw_rc (*start)(gw_req*, gw_ticket, gw_instance*, gw_id endpoint, const gw_fetch_request*);
  /* [main thread: events, post and `done` itself] Asks, for the instance: done(user, answer) is called later
   * on the main thread, never inside this call, and never after destroy began. The answer is valid until it
   * returns. Within the timeout it waits for a name that did not resolve yet. GW_ESTATE: nothing is asked
   * under `check` and `explain`; GW_EUNAVAILABLE: this instance was replaced. */
  gw_rc (*background)(gw_instance*, gw_id endpoint, const gw_fetch_request*,
                      void (*done)(void* user, const gw_fetch_answer*), void* user);
} gw_fetch_v0;
#define GW_FETCH_V0 "gw.fetch/0"

#ifdef __cplusplus
}
#endif
#endif /* PENSTOCK_ABI_SERVICES_H */
