// The `tls:` of a listener and of an upstream. Whether OpenSSL takes what is written here is seen when the
// snapshot is built.
#include <fmt/format.h>
#include <sys/stat.h>

#include "config/compile.h"

namespace penstock::config {
namespace {

void warn_readable(const FilePath& file, std::string_view what, const std::string& path, Build& build) {
  struct stat info{};
  if (::stat(file.path.c_str(), &info) != 0 || (info.st_mode & S_IROTH) == 0) return;
  build.diagnostics
      .warning("readable-secret", file.at, path, fmt::format("others can read {} {}", what, file.path))
      .hint = fmt::format("chmod o-r {}", file.path);
}

TlsVersion version(const Node& node, std::string_view key, TlsVersion fallback) {
  std::string text;
  take(&node, key, text);
  if (text.empty()) return fallback;
  return text == "TLSv1.3" ? TlsVersion::tls_1_3 : TlsVersion::tls_1_2;
}

FilePath optional_file(const Node& map, std::string_view key, const std::string& path, std::string_view what,
                       Build& build) {
  const Node* node = usable(map, key);
  return node == nullptr ? FilePath{} : readable_file(*node, fmt::format("{}.{}", path, key), what, build);
}

void compile_certificates(const Node& list, const std::string& path, ListenerTls& tls, Build& build) {
  if (list.children.empty())
    build.diagnostics.error("missing-key", list.key_at, path,
                            "'certificates' is empty, TLS needs at least one");
  for (size_t i = 0; i < list.children.size(); ++i) {
    const Node& item = list.children[i];
    const Node* certificate = usable(item, "cert");
    const Node* key = usable(item, "key");
    if (certificate == nullptr || key == nullptr) continue;
    const std::string place = fmt::format("{}[{}]", path, i);
    CertificatePair pair;
    pair.at = item.at;
    pair.certificate = readable_file(*certificate, place + ".cert", "the certificate", build);
    pair.key = readable_file(*key, place + ".key", "the private key", build);
    pair.ocsp = optional_file(item, "ocsp", place, "the OCSP answer", build);
    warn_readable(pair.key, "the private key", place + ".key", build);
    tls.certificates.push_back(std::move(pair));
  }
}

ClientAuth compile_client_auth(const Node& node, const std::string& path, Build& build) {
  ClientAuth auth;
  std::string mode = "required";
  take(&node, "mode", mode);
  auth.mode = mode == "none"       ? ClientAuth::Mode::none
              : mode == "optional" ? ClientAuth::Mode::optional
                                   : ClientAuth::Mode::required;
  auth.ca = optional_file(node, "ca", path, "the CA of client certificates", build);
  auth.crl = optional_file(node, "crl", path, "the revocation list", build);
  take(&node, "depth", auth.depth);
  return auth;
}

SessionTickets compile_tickets(const Node& node, const std::string& path, Build& build) {
  SessionTickets tickets;
  if (node.is_scalar()) {  // none
    tickets.use = SessionTickets::Use::off;
    return tickets;
  }
  take(&node, "rotate", tickets.rotate);
  take(&node, "max_age", tickets.max_age);
  const Node* file = usable(node, "key_file");
  if (file == nullptr) return tickets;
  tickets.key_file = readable_file(*file, path + ".key_file", "the ticket keys", build);
  warn_readable(tickets.key_file, "the ticket keys", path + ".key_file", build);
  return tickets;
}

Hsts compile_hsts(const Node& node, const std::string& path, Build& build) {
  constexpr Duration year{int64_t{365} * 24 * 3'600'000};
  Hsts hsts;
  take(&node, "max_age", hsts.max_age);
  if (flag(&node, "include_subdomains", false)) hsts.scope = Hsts::Scope::subdomains;
  const Node* preload = usable(node, "preload");
  if (!flag(&node, "preload", false)) return hsts;
  hsts.preload = Hsts::Preload::yes;
  if (hsts.scope == Hsts::Scope::host || hsts.max_age < year)
    build.diagnostics
        .warning("no-effect", preload->key_at, path + ".preload",
                 "browsers' preload list takes no host without include_subdomains and a max_age of a year")
        .hint = "write hsts: { max_age: 1y, include_subdomains: true, preload: true }";
  return hsts;
}

void compile_lists(const Node& node, const std::string& path, ListenerTls& tls, Build& build) {
  tls.ciphers = names_in(usable(node, "ciphers"));
  tls.ciphersuites = names_in(usable(node, "ciphersuites"));
  tls.groups = names_in(usable(node, "groups"));
  for (const std::string_view key : {"ciphers", "ciphersuites", "groups"}) {
    const Node* list = usable(node, key);
    if (list != nullptr && list->children.empty())
      build.diagnostics
          .error("bad-value", list->key_at, fmt::format("{}.{}", path, key),
                 fmt::format("'{}' is empty, nobody could connect", key))
          .hint = "leave the key out for the built-in list";
  }
  const Node* max = usable(node, "max_version");
  if (tls.max_version < tls.min_version && max != nullptr)
    build.diagnostics.error("bad-value", max->at, path + ".max_version",
                            "max_version is older than min_version, nobody could connect");
  const Node* ciphers = usable(node, "ciphers");
  if (tls.min_version == TlsVersion::tls_1_3 && ciphers != nullptr)
    build.diagnostics
        .warning("no-effect", ciphers->key_at, path + ".ciphers",
                 "ciphers are those of TLS 1.2, which min_version excludes")
        .hint = "TLS 1.3 has ciphersuites";
  const Node* suites = usable(node, "ciphersuites");
  if (tls.max_version == TlsVersion::tls_1_2 && suites != nullptr)
    build.diagnostics
        .warning("no-effect", suites->key_at, path + ".ciphersuites",
                 "ciphersuites are those of TLS 1.3, which max_version excludes")
        .hint = "TLS 1.2 has ciphers";
}

std::string server_name(const Node& node, const std::string& path, Build& build) {
  const Node* name = usable(node, "server_name");
  if (name == nullptr || !name->is_scalar()) return {};
  const bool address = parse_host_port(fmt::format("[{}]:1", name->text)).has_value();
  const bool host = !name->text.starts_with('[') && name->text != "none" &&
                    parse_host_port(fmt::format("{}:1", name->text)).has_value();
  if (!address && !host)
    build.diagnostics.error("bad-host", name->at, path + ".server_name",
                            fmt::format("server_name '{}' is no host name or IP address", shown(*name)));
  return name->text;
}

// One without the other is no identity.
void require_pair(const Node& node, const std::string& path, Build& build) {
  const Node *cert = node.find("cert"), *key = node.find("key");
  if ((cert == nullptr) == (key == nullptr)) return;
  const std::string_view missing = cert == nullptr ? "cert" : "key";
  build.diagnostics
      .error("missing-key", (cert != nullptr ? cert : key)->key_at, fmt::format("{}.{}", path, missing),
             fmt::format("'{}' is missing beside '{}'", missing, cert != nullptr ? "cert" : "key"))
      .hint = "a client certificate needs both";
}

}  // namespace

std::optional<UpstreamTls> compile_upstream_tls(const Node* node, const std::string& path, Build& build) {
  if (node == nullptr || !node->is_map()) return std::nullopt;
  UpstreamTls tls;
  tls.at = node->key_at;
  tls.server_name = server_name(*node, path, build);
  tls.ca = optional_file(*node, "ca", path, "the CA of the backend's certificate", build);
  tls.cert = optional_file(*node, "cert", path, "the client certificate", build);
  tls.key = optional_file(*node, "key", path, "the private key", build);
  if (!tls.key.path.empty()) warn_readable(tls.key, "the private key", path + ".key", build);
  require_pair(*node, path, build);
  tls.min_version = version(*node, "min_version", tls.min_version);
  return tls;
}

std::optional<ListenerTls> compile_tls(const Node* node, const std::string& path, Build& build) {
  if (node == nullptr) return std::nullopt;
  ListenerTls tls;
  tls.at = node->key_at;
  tls.min_version = version(*node, "min_version", tls.min_version);
  tls.max_version = version(*node, "max_version", tls.max_version);
  compile_lists(*node, path, tls, build);
  if (const Node* list = usable(node, "certificates"))
    compile_certificates(*list, path + ".certificates", tls, build);
  std::string unknown;
  take(node, "unknown_sni", unknown);
  if (unknown == "reject") tls.unknown_sni = UnknownSni::reject;
  if (const Node* auth = usable(node, "client_auth"))
    tls.client_auth = compile_client_auth(*auth, path + ".client_auth", build);
  if (const Node* tickets = usable(node, "tickets"))
    tls.tickets = compile_tickets(*tickets, path + ".tickets", build);
  take(node, "handshake_timeout", tls.handshake_timeout);
  take(node, "max_handshakes", tls.max_handshakes);
  if (const Node* hsts = usable(node, "hsts")) tls.hsts = compile_hsts(*hsts, path + ".hsts", build);
  return tls;
}

}  // namespace penstock::config
