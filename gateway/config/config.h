// A compiled configuration: plain structs, complete, defaults merged in, every name that is referred to known
// to exist. No YAML and no behaviour. Made by load() on the control thread, read-only afterwards; the
// snapshot is built from it. Positions are kept for explain and for diagnostics of later layers.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/health_config.h"
#include "config/node.h"
#include "config/route_config.h"
#include "config/tls_config.h"
#include "config/values.h"

namespace penstock::config {

struct ListenerLimits {
  uint64_t header_size = 32 * 1024;
  uint32_t header_count = 100;
  uint64_t uri_size = 8 * 1024;
  uint64_t body_size = 10 * 1024 * 1024;
  uint64_t trailer_size = 8 * 1024;
  uint32_t trailer_count = 32;
  Duration header_timeout{10'000};
  Duration body_timeout{30'000};
  uint64_t min_body_rate = 240;  // bytes a second; 0: none
  Duration rate_grace{60'000};
  Duration send_timeout{60'000};
  uint64_t min_send_rate = 240;  // bytes a second; 0: none
  Duration idle_timeout{60'000};
  Duration half_close_timeout{10'000};
  uint32_t max_requests = 100'000;              // of a connection; 0: any number
  uint32_t max_connections = 10'000;            // of the whole process
  uint32_t max_connections_per_client = 5'000;  // of the whole process; 0: any number
  uint64_t pipelined_size = 64 * 1024;
  uint64_t buffer_size = 64 * 1024;
};

struct ListenerHttp2 {
  uint32_t max_concurrent_streams = 100;
  uint64_t stream_window = 64 * 1024;
  uint64_t connection_window = 1024 * 1024;
  uint64_t max_frame_size = 16 * 1024;
  uint64_t header_table_size = 4 * 1024;
  uint32_t max_resets = 200;            // 0: any number
  uint32_t max_control_frames = 2'000;  // 0: any number
  Duration ping_interval{30'000};
  Duration ping_timeout{10'000};
};

enum class Protocol : uint8_t { http_1_1, http_2 };

// Where the client's address comes from when the peer is a trusted proxy.
enum class ClientAddress : uint8_t { x_forwarded_for, forwarded, proxy_protocol };

// In which fields the backend learns of the client and the way here.
enum class ForwardedForm : uint8_t { x, standard, both };

struct Listener {
  std::string name;
  Position at;
  Address address;
  Position address_at;
  uint32_t socket_mode = 0660;  // of a unix socket's file
  std::optional<ListenerTls> tls;
  std::vector<Protocol> protocols{Protocol::http_1_1};  // best first
  ListenerLimits limits;
  ListenerHttp2 http2;
  std::vector<Network> trusted_proxies;  // empty: nobody is believed
  ClientAddress client_address = ClientAddress::x_forwarded_for;
  ForwardedForm forwarded = ForwardedForm::x;
  std::string via;                  // our name in Via; empty: none is written
  std::optional<NameRef> redirect;  // the listener to whose port every request is sent
};

struct Status {
  Address address;
  uint32_t max_connections = 100;
  uint32_t endpoint_series = 1'000;
  uint32_t socket_mode = 0660;
  Position at;
};

struct Admin {
  Address address;
  uint32_t max_connections = 20;
  uint32_t socket_mode = 0600;
  Position at;
};

// Of the whole process.
struct ProcessLimits {
  uint64_t buffered = 256 * 1024 * 1024;
  uint32_t health_checks = 500;
  Duration plugin_hook{100};
  uint32_t rate_limit_keys = 1'048'576;
  uint64_t plugin_store = 16 * 1024 * 1024;
  uint32_t plugin_work = 256;
  uint32_t plugin_posts = 1'000;
  uint32_t plugin_fetches = 1000;
};

struct Drain {
  Duration accept_for{5'000};
  Duration timeout{30'000};
};

// IP literals with a port. Empty: the system's resolvers.
struct Dns {
  std::vector<Address> servers;
};

// What stores of plugins that ask for it share.
struct Redis {
  std::string host;  // a name, or an IP literal without brackets
  uint16_t port = 0;
  Duration timeout{5};
  std::string username;
  Secret password;
  uint32_t database = 0;
  uint32_t max_pending = 10'000;  // of one worker
  uint32_t max_failures = 5;
  std::optional<UpstreamTls> tls;
};

struct ApiKeyCredential {
  enum class Form : uint8_t { plain, sha256 };
  Form form = Form::plain;
  Secret value;  // the key, or 64 lower-case hex digits
  Position at;
};
struct JwtCredential {
  NameRef plugin;
  std::string value;  // of the plugin's consumer_claim
  Position at;
};
// A name of a client certificate in the one form that is compared (base/certificate_names.h).
struct CertificateCredential {
  std::string value;
  Position at;
};
// A password's hash under a user's name, or a key under its id.
struct SecretCredential {
  std::string name;
  Secret secret;
  Position at;
};
struct Consumer {
  std::string name;
  std::vector<std::string> groups;
  std::vector<ApiKeyCredential> api_keys;
  std::vector<JwtCredential> jwt;
  std::vector<CertificateCredential> mtls_subjects, mtls_sans, mtls_fingerprints;
  std::vector<SecretCredential> basic, hmac;
  Position at;
};

enum class OnError : uint8_t { fail, skip };

// `node` is the instance's map without type and on_error: the plugin validates it and reports on its nodes.
struct PluginInstance {
  std::string name;
  std::string type;
  OnError on_error = OnError::fail;
  Node node;
  std::string path;  // "plugins.NAME", before path_within(node, ...)
  Position at;
  Position type_at;
  bool type_secret = false;  // the type is not to be printed
  Position on_error_at;      // line 0 where it is not written
};

struct Endpoint {
  std::string host;  // a name, or an IP literal without brackets
  uint16_t port = 0;
  uint32_t weight = 1;
  Position at;
};
struct DnsDiscovery {
  std::string name;
  uint16_t port = 0;
  Position at;
};
enum class Balance : uint8_t { round_robin, random, least_request };
struct Keepalive {
  uint32_t max_idle = 64;  // per endpoint, of the whole process
  Duration idle_timeout{30'000};
};
struct UpstreamLimits {
  uint64_t header_size = 64 * 1024;
  uint32_t header_count = 200;
  uint64_t trailer_size = 8 * 1024;
  uint32_t trailer_count = 32;
  uint32_t max_informational = 16;
};
// What is spoken to a backend. automatic: by ALPN.
enum class UpstreamProtocol : uint8_t { http_1_1, http_2, automatic };
struct UpstreamHttp2 {
  uint32_t max_concurrent_streams = 100;
  uint64_t stream_window = 128 * 1024;
  uint64_t connection_window = 1024 * 1024;
  uint64_t max_frame_size = 16 * 1024;
  uint64_t header_table_size = 4 * 1024;
  uint32_t max_control_frames = 2'000;  // 0: any number
  Duration ping_interval{0};            // 0: never
  Duration ping_timeout{10'000};
};
// Either endpoints or discover, never both.
struct Upstream {
  std::string name;
  Position at;
  std::vector<Endpoint> endpoints;
  std::optional<DnsDiscovery> discover;
  Balance balance = Balance::least_request;
  Position balance_at;  // line 0: the built-in one
  Keepalive keepalive;
  UpstreamLimits limits;
  UpstreamProtocol protocol = UpstreamProtocol::http_1_1;
  UpstreamHttp2 http2;
  std::optional<UpstreamTls> tls;
  std::optional<HealthCheck> health_check;
};

struct Config {
  std::vector<std::string> files;  // names for messages, by Position::file
  uint32_t workers = 0;            // 0: one a core
  std::string state_dir = "state";
  std::vector<Listener> listeners;
  std::optional<Status> status;
  std::optional<Admin> admin;
  ProcessLimits limits;
  Drain drain;
  Dns dns;
  std::optional<Redis> redis;
  std::vector<LogInstance> access_log;  // empty: none
  std::vector<Consumer> consumers;
  std::vector<PluginInstance> plugins;
  std::vector<FilePath> plugin_libraries;
  std::vector<Route> routes;
  std::vector<Upstream> upstreams;
};

// "gateway.yaml:31:5", or "built-in" for a place that no file names.
std::string to_text(const Config& config, Position at);

}  // namespace penstock::config
