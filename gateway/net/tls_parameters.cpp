// Protocol versions, cipher suites and groups of a context. What is not configured is Mozilla's
// "intermediate" list (guidelines 5.7) without its DHE suites: forward secrecy and AEAD only.
#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <optional>

#include "net/tls_context.h"

namespace penstock::net {
namespace {

constexpr const char* ciphers_1_2 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* ciphers_1_3 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
// The hybrid group is known to OpenSSL 3.5 and later.
constexpr const char* groups_hybrid = "X25519MLKEM768:X25519:P-256:P-384";
constexpr const char* groups_classic = "X25519:P-256:P-384";

bool plain_word(std::string_view word) {
  if (word.empty()) return false;
  for (char c : word) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '_') return false;
  }
  return true;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ":") + word;
  return out;
}

using SetList = int (*)(SSL_CTX*, const char*);

// OpenSSL takes words for many suites ("HIGH") and passes over unknown ones, so each must be the name of a
// suite that it then has; null otherwise. What is returned is static.
const SSL_CIPHER* find_suite(SetList set, const std::string& name) {
  SslContext probe(SSL_CTX_new(TLS_server_method()));
  const SSL_CIPHER* found = nullptr;
  if (probe && set(probe.get(), name.c_str()) == 1) {
    const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(probe.get());
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i)
      if (const SSL_CIPHER* suite = sk_SSL_CIPHER_value(ciphers, i); name == SSL_CIPHER_get_name(suite))
        found = suite;
  }
  ERR_clear_error();
  return found;
}

struct Flaw {
  TlsProblem::Severity severity;
  std::string_view text;  // follows the name
};

// What OpenSSL would speak when asked, and nobody should, or what a listener cannot speak.
std::optional<Flaw> flaw_of(const SSL_CIPHER* suite) {
  using Severity = TlsProblem::Severity;
  const int exchange = SSL_CIPHER_get_kx_nid(suite), proof = SSL_CIPHER_get_auth_nid(suite);
  const int cipher = SSL_CIPHER_get_cipher_nid(suite);
  if (proof == NID_auth_null)
    return Flaw{Severity::error, "is anonymous: nobody could tell us from an impostor"};
  if (cipher == NID_undef) return Flaw{Severity::error, "does not encrypt"};
  if (SSL_CIPHER_get_bits(suite, nullptr) < 128 || cipher == NID_rc4)
    return Flaw{Severity::error, "is broken: what it hides can be read"};
  if (exchange == NID_kx_dhe)
    return Flaw{Severity::error,
                "needs Diffie-Hellman parameters, which listeners have not: ECDHE needs none"};
  if (exchange != NID_kx_ecdhe && exchange != NID_kx_rsa)
    return Flaw{Severity::error, "needs a secret known beforehand, which listeners have not"};
  if (exchange == NID_kx_rsa)
    return Flaw{Severity::warning, "has no forward secrecy: who gets the key one day reads all of before"};
  if (SSL_CIPHER_is_aead(suite) == 0)
    return Flaw{Severity::warning, "is weak: prefer GCM or CHACHA20-POLY1305"};
  return std::nullopt;
}

bool known_group(const std::string& name) {
  SslContext probe(SSL_CTX_new(TLS_server_method()));
  const bool known = probe && SSL_CTX_set1_groups_list(probe.get(), name.c_str()) == 1;
  ERR_clear_error();
  return known;
}

template <class Known>
bool check_list(const std::vector<std::string>& words, TlsProblem::Of of, const char* what, Known known,
                std::vector<TlsProblem>& problems) {
  bool good = true;
  for (size_t i = 0; i < words.size(); ++i) {
    if (plain_word(words[i]) && known(words[i])) continue;
    problems.push_back({of, i, TlsProblem::Severity::error,
                        fmt::format("'{}' is no {} that OpenSSL offers here", words[i], what)});
    good = false;
  }
  return good;
}

int number_of(TlsVersion version) { return version == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION; }

bool is_1_3_suite(const std::string& name) { return name.starts_with("TLS_"); }

bool check_flaws(const std::vector<std::string>& ciphers, std::vector<TlsProblem>& problems) {
  bool good = true;
  for (size_t i = 0; i < ciphers.size(); ++i) {
    const auto flaw = flaw_of(find_suite(SSL_CTX_set_cipher_list, ciphers[i]));
    if (!flaw) continue;
    problems.push_back(
        {TlsProblem::Of::cipher, i, flaw->severity, fmt::format("'{}' {}", ciphers[i], flaw->text)});
    good &= flaw->severity != TlsProblem::Severity::error;
  }
  return good;
}

// RFC 8446 4.2.7: these came with TLS 1.3; what RFC 7919 has of them for 1.2 is for DHE suites.
bool only_1_3(const std::string& group) {
  return group.starts_with("ffdhe") || group.find("MLKEM") != group.npos;
}

bool check_groups(const TlsSettings& settings, std::vector<TlsProblem>& problems) {
  if (settings.groups.empty() || settings.min_version == TlsVersion::v1_3 ||
      !std::ranges::all_of(settings.groups, only_1_3))
    return true;
  const bool nobody = settings.max_version == TlsVersion::v1_2;
  problems.push_back({TlsProblem::Of::group, 0,
                      nobody ? TlsProblem::Severity::error : TlsProblem::Severity::warning,
                      fmt::format("none of the groups serves TLS 1.2: {} could connect",
                                  nobody ? "nobody" : "no TLS 1.2 client")});
  return !nobody;
}

}  // namespace

bool check_parameters(const TlsSettings& settings, std::vector<TlsProblem>& problems) {
  using Of = TlsProblem::Of;
  const auto cipher = [](const std::string& name) {
    return !is_1_3_suite(name) && find_suite(SSL_CTX_set_cipher_list, name) != nullptr;
  };
  const auto suite = [](const std::string& name) {
    return is_1_3_suite(name) && find_suite(SSL_CTX_set_ciphersuites, name) != nullptr;
  };
  bool good = check_list(settings.ciphers, Of::cipher, "TLS 1.2 cipher suite", cipher, problems);
  good &= check_list(settings.ciphersuites, Of::ciphersuite, "TLS 1.3 cipher suite", suite, problems);
  good &= check_list(settings.groups, Of::group, "group", known_group, problems);
  if (!good) return false;
  good = check_flaws(settings.ciphers, problems);
  return check_groups(settings, problems) && good;
}

bool suites_fit(const std::vector<std::string>& ciphers, int key_type) {
  const bool rsa = key_type == EVP_PKEY_RSA, pss = key_type == EVP_PKEY_RSA_PSS;
  return std::ranges::any_of(ciphers, [&](const std::string& name) {
    const SSL_CIPHER* suite = find_suite(SSL_CTX_set_cipher_list, name);
    const int proof = suite ? SSL_CIPHER_get_auth_nid(suite) : NID_undef;
    // A key for PSS signs; it decrypts nothing.
    if (proof == NID_auth_rsa) return rsa || (pss && SSL_CIPHER_get_kx_nid(suite) == NID_kx_ecdhe);
    return proof == NID_auth_ecdsa && !rsa && !pss;
  });
}

bool set_parameters(SSL_CTX* context, const TlsSettings& settings, std::vector<TlsProblem>& problems) {
  auto list = [](const std::vector<std::string>& words, const char* ours) {
    return words.empty() ? std::string(ours) : joined(words);
  };
  bool good = SSL_CTX_set_min_proto_version(context, number_of(settings.min_version)) == 1;
  good &= SSL_CTX_set_max_proto_version(context, number_of(settings.max_version)) == 1;
  good &= SSL_CTX_set_cipher_list(context, list(settings.ciphers, ciphers_1_2).c_str()) == 1;
  good &= SSL_CTX_set_ciphersuites(context, list(settings.ciphersuites, ciphers_1_3).c_str()) == 1;
  const char* ours = known_group("X25519MLKEM768") ? groups_hybrid : groups_classic;
  good &= SSL_CTX_set1_groups_list(context, list(settings.groups, ours).c_str()) == 1;
  // Whoever wrote a list meant its order; ours has none that matters, and a phone without AES knows best.
  if (!settings.ciphers.empty() || !settings.ciphersuites.empty())
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (good) return true;
  problems.push_back({TlsProblem::Of::listener, 0, TlsProblem::Severity::error,
                      "OpenSSL refuses the TLS parameters: " + openssl_reason()});
  return false;
}

}  // namespace penstock::net
