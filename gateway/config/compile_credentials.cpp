// Credentials of consumers that are names in a certificate, or names with a secret.
#include <fmt/format.h>

#include "base/certificate_names.h"
#include "config/compile.h"

namespace penstock::config {
namespace {

using Normal = std::string_view (*)(std::string_view, std::span<char>);

// What is wrong is not quoted: all of it stands under credentials.
struct CertificateKind {
  std::string_view key;
  Normal normal;
  std::vector<CertificateCredential> Consumer::* list;
  std::string_view wrong, hint;
};
constexpr CertificateKind certificate_kinds[] = {
    {"mtls_subjects", &normal_subject, &Consumer::mtls_subjects, "the subject is no RFC 4514 text",
     "openssl x509 -noout -subject -nameopt RFC2253 -in CERTIFICATE"},
    {"mtls_sans", &normal_alternative_name, &Consumer::mtls_sans, "the name is no alternative name",
     "allowed are DNS:NAME, URI:URI, email:ADDRESS and IP:ADDRESS"},
    {"mtls_fingerprints", &normal_fingerprint, &Consumer::mtls_fingerprints,
     "the fingerprint is no SHA-256 of a certificate",
     "openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE"},
};

void compile_names(const Node& list, const CertificateKind& kind, const std::string& path, Consumer& consumer,
                   Build& build) {
  for (size_t i = 0; i < list.children.size(); ++i) {
    const Node& node = list.children[i];
    if (!node.is_scalar() || node.unusable) continue;
    std::vector<char> room(room_for(node.text));
    const std::string_view normal = kind.normal(node.text, room);
    if (normal.data() != nullptr)
      (consumer.*kind.list).push_back({std::string(normal), node.at});
    else
      build.diagnostics
          .error("bad-value", node.at, fmt::format("{}.{}[{}]", path, kind.key, i), std::string(kind.wrong))
          .hint = kind.hint;
  }
}

bool is_password_hash(std::string_view text) {
  for (const std::string_view form : {"$2a$", "$2b$", "$2y$", "$argon2i$", "$argon2id$"})
    if (text.starts_with(form)) return true;
  return false;
}

constexpr size_t least_key = 16;  // bytes: 128 bits, and no more is known of it

// Each: empty, or what is wrong.
std::string wrong_user(std::string_view name) {
  const bool good = !name.empty() && name.find(':') == name.npos;
  return good ? "" : "a username is not empty and has no colon";
}
std::string wrong_hash(std::string_view hash) {
  return is_password_hash(hash) ? "" : "the password is no hash of bcrypt or argon2";
}
std::string wrong_id(std::string_view id) { return id.empty() ? "the key's id is empty" : ""; }
std::string wrong_key(std::string_view key) {
  return key.size() >= least_key ? "" : "the secret is shorter than 16 bytes";
}

struct SecretKind {
  std::string_view list, name, secret;
  std::vector<SecretCredential> Consumer::* to;
  std::string (*wrong_name)(std::string_view name);
  std::string (*wrong_secret)(std::string_view secret);
  std::string_view hint;  // how a secret is made
};
constexpr SecretKind secret_kinds[] = {
    {"basic", "username", "password", &Consumer::basic, &wrong_user, &wrong_hash,
     "htpasswd -nB USER writes such a hash"},
    {"hmac", "id", "secret", &Consumer::hmac, &wrong_id, &wrong_key, "openssl rand -base64 32"},
};

void compile_list(const Node& list, const SecretKind& kind, const std::string& path, Consumer& consumer,
                  Build& build) {
  for (size_t i = 0; i < list.children.size(); ++i) {
    const Node& entry = list.children[i];
    const Node* name = usable(entry, kind.name);
    const Node* secret = usable(entry, kind.secret);
    if (name == nullptr || secret == nullptr || !name->is_scalar() || !secret->is_scalar()) continue;
    const std::string place = fmt::format("{}.{}[{}]", path, kind.list, i);
    if (std::string wrong = kind.wrong_name(name->text); !wrong.empty())
      build.diagnostics.error("bad-value", name->at, place, std::move(wrong));
    if (std::string wrong = kind.wrong_secret(secret->text); !wrong.empty())
      build.diagnostics.error("bad-value", secret->at, place, std::move(wrong)).hint = kind.hint;
    (consumer.*kind.to).push_back({name->text, Secret(secret->text), entry.at});
  }
}

}  // namespace

void compile_certificates(const Node* node, const std::string& path, Consumer& consumer, Build& build) {
  for (const CertificateKind& kind : certificate_kinds)
    if (const Node* list = usable(node, kind.key)) compile_names(*list, kind, path, consumer, build);
}

void compile_secrets(const Node* node, const std::string& path, Consumer& consumer, Build& build) {
  for (const SecretKind& kind : secret_kinds)
    if (const Node* list = usable(node, kind.list)) compile_list(*list, kind, path, consumer, build);
}

}  // namespace penstock::config
