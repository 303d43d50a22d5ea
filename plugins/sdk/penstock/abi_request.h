/* The tables about one request: what it is, who sent it, over which connection, when. Included by
 * penstock_plugin.h, whose rules hold here; not to be included alone. */
#ifndef PENSTOCK_ABI_REQUEST_H
#define PENSTOCK_ABI_REQUEST_H

#ifdef __cplusplus
extern "C" {
#endif

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
  /* [worker, request-header hooks, request body hooks while the head is held] The path (without query) to
   * send upstream, canonical form, beginning with
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

  /* [worker, body hooks and on_resume after one] What goes on in place of the chunk of this call; empty:
   * nothing. Copied before the call returns; the last call of a hook wins. GW_ELIMIT: over limits.body_buffer
   * of the route. */
  gw_rc (*body_replace)(gw_req*, gw_str bytes);
} gw_http_v0;
#define GW_HTTP_V0 "gw.http/0"

/* ---- gw.consumer/0: who is asking ---- */
enum {
  GW_CREDENTIAL_API_KEY = 1,
  GW_CREDENTIAL_JWT = 2,
  GW_CREDENTIAL_MTLS_SUBJECT = 3,     /* RFC 4514 text; compared parsed */
  GW_CREDENTIAL_MTLS_SAN = 4,         /* "DNS:a.example", "URI:spiffe://...", "email:...", "IP:..." */
  GW_CREDENTIAL_MTLS_FINGERPRINT = 5, /* SHA-256 of the certificate, 64 lower-case hex digits */
  GW_CREDENTIAL_BASIC = 6,            /* a user's name; its secret is the password's hash */
  GW_CREDENTIAL_HMAC = 7              /* a key's id; its secret is the key */
};
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
   * value }] }`; names of certificates are compared parsed, whatever their writing (up to 4 KiB). */
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
  /* [worker, explain; authenticate only] For GW_REFUSE: 401, 403, or 503 when it cannot be found out at this
   * moment; a stable reason "auth....", and a challenge in place of the declared one (empty: the declared
   * one). */
  gw_rc (*refuse)(gw_req*, uint32_t status, gw_str reason, gw_str challenge);

  /* [worker] Whether the accepted consumer of this request is in the group; 1 or 0. */
  int32_t (*in_group)(gw_req*, gw_str group);

  /* [worker, explain] The consumer that has a credential with a secret (BASIC, HMAC) under that name, or
   * NULL; *secret is then what the configuration says and lives as long as the instance. */
  const gw_consumer* (*find_secret)(gw_req*, uint32_t credential, gw_str name, gw_str* secret);
  /* [configure] The index-th consumer of the configuration; GW_ENOTFOUND past the last. The views live as
   * long as the instance. secret_at: its index-th credential of a kind with a secret: name and secret. */
  gw_rc (*consumer_at)(const gw_node*, size_t index, gw_str* name);
  gw_rc (*secret_at)(const gw_node*, gw_str consumer, uint32_t credential, size_t index, gw_str* name,
                     gw_str* secret);
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
  /* The client's verified certificate: the index-th of its facts of a kind (0 first); ptr NULL: there is
   * none. Read when first asked for, once a connection; also for sessions that were resumed. */
  gw_str (*client_certificate)(gw_req*, uint32_t fact, size_t index);
} gw_connection_v0;
/* GW_CERTIFICATE_...: subject and issuer as RFC 4514 text; a subject alternative name as "DNS:a.example",
 * "URI:spiffe://...", "email:..." or "IP:..." (the first 256; others have no fact); SHA-256 of the whole as
 * 64 hex digits; the serial number in hex, with a '-' before a negative one. */
enum {
  GW_CERTIFICATE_SUBJECT = 1,
  GW_CERTIFICATE_ISSUER = 2,
  GW_CERTIFICATE_SAN = 3,
  GW_CERTIFICATE_FINGERPRINT = 4,
  GW_CERTIFICATE_SERIAL = 5
};
#define GW_CONNECTION_V0 "gw.connection/0"

/* ---- gw.trace/0: this request in a distributed trace (W3C Trace Context) ---- */
enum {
  GW_TRACE_SAMPLED = 1, /* somebody records it: the client's word where it is trusted, or sample's */
  GW_TRACE_PARENT = 2   /* the client named a span: parent_id */
};
typedef struct gw_trace_context {
  uint32_t struct_size, flags;
  uint8_t trace_id[16];
  uint8_t span_id[8];   /* of the exchange */
  uint8_t parent_id[8]; /* of the client's span, else 0 */
} gw_trace_context;

typedef struct gw_trace_v0 {
  uint32_t struct_size, reserved;
  /* [worker] The first call begins it: a valid traceparent goes on, else there is a new trace. From then on
   * each attempt is a span of its own whose id the backend gets in traceparent, and gw_summary has trace_id
   * and span_id. Calls for the same request give the same. */
  gw_rc (*context)(gw_req*, gw_trace_context* out);
  /* [worker, request hooks] Whether it is recorded: what the backend is told. */
  gw_rc (*sample)(gw_req*, int32_t sampled);
} gw_trace_v0;
#define GW_TRACE_V0 "gw.trace/0"

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

#ifdef __cplusplus
}
#endif
#endif /* PENSTOCK_ABI_REQUEST_H */
