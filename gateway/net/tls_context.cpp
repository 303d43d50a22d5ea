#include "net/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "net/digest.h"
#include "net/tls_hello.h"

namespace penstock::net {
namespace {

using Of = TlsProblem::Of;
using Severity = TlsProblem::Severity;

std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string out;
  for (const auto& protocol : protocols) {
    out.push_back(static_cast<char>(protocol.size()));
    out += protocol;
  }
  return out;
}

int64_t wall_seconds() { return static_cast<int64_t>(::time(nullptr)); }

}  // namespace

// --- reading ---

bool TlsContext::build(const TlsContext* before, std::vector<TlsProblem>& problems) {
  if (settings_.certificates.empty()) {
    problems.push_back(
        {Of::listener, 0, Severity::error, "a TLS listener needs at least one certificate with its key"});
    return false;
  }
  alpn_ = alpn_wire(settings_.alpn);
  note_files();
  bool good = true;
  for (size_t i = 0; i < settings_.certificates.size(); ++i) {
    Identity identity = read_certificate(i, before, problems);
    good &= identity != nullptr;
    facts_.push_back(identity ? CertificateFacts{identity->names, identity->not_after} : CertificateFacts{});
    identities_.push_back(std::move(identity));
  }
  good &= read_trust(before, problems);
  good &= read_tickets(before, problems);
  if (!good) return false;
  // Nowhere else does a session go on, and no longer than the rules hold: a client that a new CRL revokes
  // must show its certificate again.
  rules_ = sha256(fmt::format("{}\n{}\n{}", settings_.name, static_cast<int>(settings_.client_auth),
                              trust_ ? trust_->digest : std::string()));
  index_names();
  if (!check_parameters(settings_, problems) || !check_fit(problems) || !make_contexts(problems))
    return false;
  warn_of_unused(problems);
  return true;
}

// Before they are read: a change that comes in between is then seen as one.
void TlsContext::note_files() {
  std::vector<std::string> paths;
  for (const CertificateFiles& files : settings_.certificates)
    paths.insert(paths.end(), {files.cert, files.key, files.ocsp});
  if (settings_.client_auth != ClientAuth::none)
    paths.insert(paths.end(), {settings_.client_ca, settings_.client_crl});
  paths.push_back(settings_.ticket_file);
  std::erase(paths, std::string());
  std::ranges::sort(paths);
  const auto repeated = std::ranges::unique(paths);
  paths.erase(repeated.begin(), repeated.end());
  for (const std::string& path : paths) files_.push_back({path, FileStamp::of(path)});
}

TlsContext::Identity TlsContext::read_certificate(size_t index, const TlsContext* before,
                                                  std::vector<TlsProblem>& problems) {
  const CertificateFiles& files = settings_.certificates[index];
  auto read = read_identity(files);
  if (!read) {
    problems.push_back({Of::certificate, index, Severity::error, std::move(read.error())});
    return before ? before->identities_[index] : nullptr;
  }
  TlsIdentity& identity = **read;
  if (!files.ocsp.empty() && !take_staple(index, identity, before, problems)) return nullptr;
  if (identity.not_after < wall_seconds())
    problems.push_back(
        {Of::certificate, index, Severity::warning,
         fmt::format("certificate '{}' has expired on {}", files.cert, day(identity.not_after))});
  const int64_t until = identity.staple.until;
  if (until != 0 && until < wall_seconds())
    problems.push_back(
        {Of::ocsp, index, Severity::warning,
         fmt::format("OCSP answer '{}' has expired on {}: it is not stapled", files.ocsp, day(until))});
  return std::move(*read);
}

// False: the configuration is wrong. A certificate that was renewed does not wait for its new answer: it is
// served without one. An answer that goes bad under the same certificate leaves the last good one in force.
bool TlsContext::take_staple(size_t index, TlsIdentity& identity, const TlsContext* before,
                             std::vector<TlsProblem>& problems) {
  auto staple = read_staple(settings_.certificates[index].ocsp, identity);
  if (staple) {
    identity.staple = std::move(*staple);
    return true;
  }
  const TlsIdentity* old = before ? before->identities_[index].get() : nullptr;
  const bool same = old && X509_cmp(old->leaf.get(), identity.leaf.get()) == 0;
  if (same) identity.staple = old->staple;
  const bool renewed = before ? !same : staple.error().kind == StapleProblem::Kind::of_another_certificate;
  problems.push_back({Of::ocsp, index, renewed ? Severity::warning : Severity::error,
                      staple.error().message + (renewed ? ": nothing is stapled until it is renewed" : "")});
  return renewed || same;
}

bool TlsContext::read_trust(const TlsContext* before, std::vector<TlsProblem>& problems) {
  if (settings_.client_auth == ClientAuth::none) return true;
  auto trust = read_client_trust(settings_);
  if (trust)
    trust_ = std::move(*trust);
  else
    problems.push_back(std::move(trust.error()));
  if (!trust_ && before) trust_ = before->trust_;
  if (!trust_) return false;
  if (trust_->crl_until != 0 && trust_->crl_until < wall_seconds())
    problems.push_back({Of::client_crl, 0, Severity::warning,
                        fmt::format("'{}' has expired on {}: no client certificate is accepted",
                                    settings_.client_crl, day(trust_->crl_until))});
  return true;
}

bool TlsContext::read_tickets(const TlsContext* before, std::vector<TlsProblem>& problems) {
  if (settings_.ticket_file.empty()) return true;
  auto keys = TicketKeys::read(settings_.ticket_file);
  if (keys)
    file_tickets_ = std::move(*keys);
  else
    problems.push_back({Of::ticket_file, 0, Severity::error, std::move(keys.error())});
  if (!file_tickets_ && before) file_tickets_ = before->file_tickets_;
  return file_tickets_ != nullptr;
}

// --- names ---

void TlsContext::index_names() {
  std::map<std::string, std::vector<size_t>> by_name;
  for (size_t i = 0; i < facts_.size(); ++i)
    for (const std::string& name : facts_[i].names) by_name[name].push_back(i);
  // The default: the first one, beside those of other kinds of key that share its first name.
  set_of(facts_[0].names.empty() ? std::vector<size_t>{0} : by_name[facts_[0].names[0]]);
  for (const auto& [name, candidates] : by_name) {
    const size_t set = set_of(candidates);
    if (name.starts_with("*."))
      wildcard_.emplace(name.substr(2), set);
    else
      exact_.emplace(name, set);
  }
}

// Of several with the same kind of key the first one wins.
size_t TlsContext::set_of(const std::vector<size_t>& candidates) {
  std::vector<size_t> chosen;
  for (size_t candidate : candidates) {
    const int type = identities_[candidate]->key_type;
    if (std::ranges::none_of(chosen, [&](size_t other) { return identities_[other]->key_type == type; }))
      chosen.push_back(candidate);
  }
  for (size_t i = 0; i < sets_.size(); ++i)
    if (sets_[i].certificates == chosen) return i;
  sets_.push_back({std::move(chosen), nullptr});
  return sets_.size() - 1;
}

// A certificate whose key no suite fits is one that no TLS 1.2 client gets.
bool TlsContext::check_fit(std::vector<TlsProblem>& problems) const {
  if (settings_.ciphers.empty() || settings_.min_version == TlsVersion::v1_3) return true;
  auto fits = [&](size_t index) { return suites_fit(settings_.ciphers, identities_[index]->key_type); };
  auto served = [&](const Set& set) { return std::ranges::any_of(set.certificates, fits); };
  if (std::ranges::none_of(sets_, served)) {
    const bool nobody = settings_.max_version == TlsVersion::v1_2;
    problems.push_back(
        {Of::cipher, 0, nobody ? Severity::error : Severity::warning,
         fmt::format("none of the ciphers fits the key of a certificate here: {} could connect",
                     nobody ? "nobody" : "no TLS 1.2 client")});
    return !nobody;
  }
  for (const Set& set : sets_) {
    if (served(set)) continue;
    const size_t index = set.certificates.front();
    problems.push_back({Of::certificate, index, Severity::warning,
                        fmt::format("none of the ciphers fits the key of certificate '{}': no TLS 1.2 client "
                                    "could connect to its names",
                                    settings_.certificates[index].cert)});
  }
  return true;
}

void TlsContext::warn_of_unused(std::vector<TlsProblem>& problems) const {
  for (size_t i = 0; i < facts_.size(); ++i) {
    const bool used = std::ranges::any_of(
        sets_, [&](const Set& set) { return std::ranges::count(set.certificates, i) > 0; });
    if (!used)
      problems.push_back({Of::certificate, i, Severity::warning,
                          fmt::format("certificate '{}' is never shown: {}", settings_.certificates[i].cert,
                                      facts_[i].names.empty() ? "it has no DNS name"
                                                              : "others before it have all of its names")});
  }
}

// RFC 6125 6.4.3: a wildcard stands for exactly one label.
const TlsContext::Set* TlsContext::find(std::string_view server_name) const {
  const std::string name = normal_server_name(server_name);
  if (auto found = exact_.find(name); found != exact_.end()) return &sets_[found->second];
  const size_t dot = name.find('.');
  if (dot == 0 || dot == name.npos) return nullptr;
  auto found = wildcard_.find(name.substr(dot + 1));
  return found != wildcard_.end() ? &sets_[found->second] : nullptr;
}

size_t TlsContext::select(std::string_view server_name) const {
  const Set* found = find(server_name);
  return found ? found->certificates.front() : 0;
}

bool TlsContext::same_certificates(const TlsServerContext& other, std::string_view server_name) const {
  const auto& theirs = static_cast<const TlsContext&>(other);  // there is no other kind
  const Set *set = find(server_name), *its_set = theirs.find(server_name);
  return std::ranges::equal(
      (set ? *set : sets_.front()).certificates, (its_set ? *its_set : theirs.sets_.front()).certificates,
      [&](size_t ours, size_t its) {
        return X509_cmp(identities_[ours]->leaf.get(), theirs.identities_[its]->leaf.get()) == 0;
      });
}

const OcspStaple* TlsContext::staple_of(const X509* leaf) const {
  for (const Identity& identity : identities_)
    if (identity->leaf.get() == leaf) return identity->staple.der.empty() ? nullptr : &identity->staple;
  return nullptr;
}

// --- contexts ---

bool TlsContext::make_contexts(std::vector<TlsProblem>& problems) {
  for (Set& set : sets_) {
    set.context = make_context(set, problems);
    if (!set.context) return false;
  }
  return true;
}

SslContext TlsContext::make_context(const Set& set, std::vector<TlsProblem>& problems) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* raw = context.get();
  if (!raw) {
    problems.push_back({Of::listener, 0, Severity::error, "OpenSSL gives no context: " + openssl_reason()});
    return nullptr;
  }
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // The chain is what its file holds: nothing is looked up and verified in each handshake.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
  if (!set_parameters(raw, settings_, problems)) return nullptr;
  set_sessions(raw);
  set_client_auth(raw);
  SSL_CTX_set_client_hello_cb(raw, on_client_hello, this);
  SSL_CTX_set_tlsext_servername_callback(raw, on_server_name);
  SSL_CTX_set_tlsext_servername_arg(raw, this);
  SSL_CTX_set_tlsext_status_cb(raw, on_status_request);
  SSL_CTX_set_tlsext_status_arg(raw, this);
  if (!alpn_.empty()) SSL_CTX_set_alpn_select_cb(raw, on_alpn, this);
  for (size_t index : set.certificates) {
    const TlsIdentity& identity = *identities_[index];
    if (SSL_CTX_use_cert_and_key(raw, identity.leaf.get(), identity.key.get(), identity.chain.get(), 1) == 1)
      continue;
    problems.push_back(
        {Of::certificate, index, Severity::error,
         fmt::format("'{}' cannot be served: {}", settings_.certificates[index].cert, openssl_reason())});
    return nullptr;
  }
  return context;
}

void TlsContext::set_sessions(SSL_CTX* context) const {
  // Tickets alone resume sessions: the cache would be one lock for all workers.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, rules_.data(), static_cast<unsigned int>(rules_.size()));
  if (settings_.ticket_lifetime_s == 0) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return;
  }
  SSL_CTX_set_timeout(context, static_cast<long>(settings_.ticket_lifetime_s));
  SSL_CTX_set_num_tickets(context, 1);
  set_ticket_callbacks(context);
}

void TlsContext::set_client_auth(SSL_CTX* context) const {
  if (!trust_) return;
  const bool required = settings_.client_auth == ClientAuth::required;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_CTX_set_verify_depth(context, static_cast<int>(settings_.client_depth));
  SSL_CTX_set1_cert_store(context, trust_->store.get());
  BioHandle bio(BIO_new_mem_buf(trust_->ca_bytes.data(), static_cast<int>(trust_->ca_bytes.size())));
  while (CertificateHandle ca{PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)})
    SSL_CTX_add_client_CA(context, ca.get());
  ERR_clear_error();
}

// --- callbacks ---

// The SNI before OpenSSL looks for a session, which may go on under its own name alone.
int TlsContext::on_client_hello(SSL* ssl, int* alert, void*) {
  auto& session = *static_cast<TlsSession*>(SSL_get_app_data(ssl));
  const unsigned char* bytes = nullptr;
  size_t size = 0;
  session.sent_name.clear();
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) != 1)
    return SSL_CLIENT_HELLO_SUCCESS;
  auto name = read_server_name({reinterpret_cast<const char*>(bytes), size});
  if (!name) {
    *alert = SSL_AD_DECODE_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  session.sent_name = std::move(*name);
  return SSL_CLIENT_HELLO_SUCCESS;
}

int TlsContext::on_server_name(SSL* ssl, int* alert, void* raw) {
  const auto& self = *static_cast<const TlsContext*>(raw);
  auto& session = *static_cast<TlsSession*>(SSL_get_app_data(ssl));
  const Set* found = self.find(session.sent_name);
  if (!found && self.settings_.unknown_name == UnknownName::refuse) {
    session.refused_name = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  // Also back to the first: the ClientHello after a HelloRetryRequest may name somebody else.
  SSL_set_SSL_CTX(ssl, found ? found->context.get() : self.first());
  return found ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// RFC 7301 3.2: our order counts; no common protocol ends the handshake, no offer goes on without ALPN.
int TlsContext::on_alpn(SSL*, const unsigned char** out, unsigned char* out_size,
                        const unsigned char* offered, unsigned int offered_size, void* self) {
  const std::string& ours = static_cast<TlsContext*>(self)->alpn_;
  unsigned char* chosen = nullptr;
  int result = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                     static_cast<unsigned int>(ours.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int TlsContext::on_status_request(SSL* ssl, void* raw) {
  const OcspStaple* staple = static_cast<const TlsContext*>(raw)->staple_of(SSL_get_certificate(ssl));
  const int64_t now = wall_seconds();
  if (!staple || now < staple->from || (staple->until != 0 && now >= staple->until))
    return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(staple->der.data(), staple->der.size());
  if (!copy) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(staple->der.size()));  // takes it
  return SSL_TLSEXT_ERR_OK;
}

// --- TlsServerContext ---

std::shared_ptr<const TlsServerContext> TlsContext::reread(std::vector<TlsProblem>& problems) const {
  auto next = std::make_shared<TlsContext>(settings_);
  return next->build(this, problems) ? next : nullptr;
}

std::shared_ptr<const TlsServerContext> TlsServerContext::load(TlsSettings settings,
                                                               std::vector<TlsProblem>& problems) {
  auto context = std::make_shared<TlsContext>(std::move(settings));
  return context->build(nullptr, problems) ? context : nullptr;
}

}  // namespace penstock::net
