#include "net/tls_client_auth.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "net/address.h"
#include "net/bounded_file.h"
#include "net/digest.h"

namespace penstock::net {
namespace {

std::unexpected<TlsProblem> wrong(TlsProblem::Of of, std::string message) {
  return std::unexpected(TlsProblem{of, 0, TlsProblem::Severity::error, std::move(message)});
}

}  // namespace

std::string add_authorities(const std::string& path, const std::string& bytes, X509_STORE* store) {
  BioHandle bio = read_from(bytes);
  size_t count = 0;
  while (CertificateHandle ca{PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store, ca.get());
    ++count;
  }
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (count == 0 || !whole)
    return fmt::format("'{}' is no PEM file of CA certificates: {}", path, openssl_reason());
  ERR_clear_error();
  return {};
}

namespace {

std::string add_crls(const std::string& path, const std::string& bytes, ClientTrust& trust) {
  BioHandle bio = read_from(bytes);
  const std::unique_ptr<ASN1_INTEGER, Releases<ASN1_INTEGER_free>> no_serial(ASN1_INTEGER_new());
  size_t count = 0;
  while (CrlHandle crl{PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_crl(trust.store.get(), crl.get());
    const int64_t until = unix_seconds(X509_CRL_get0_nextUpdate(crl.get()));
    // The entries are sorted at the first search: now, and not in somebody's handshake.
    X509_REVOKED* entry = nullptr;
    X509_CRL_get0_by_serial(crl.get(), &entry, no_serial.get());
    if (until != 0) trust.crl_until = trust.crl_until == 0 ? until : std::min(trust.crl_until, until);
    ++count;
  }
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (count == 0 || !whole)
    return fmt::format("'{}' is no PEM file of certificate revocation lists: {}", path, openssl_reason());
  ERR_clear_error();
  // Every certificate of a chain must have its list (RFC 5280 6.3.3), or a revoked intermediate would pass.
  X509_STORE_set_flags(trust.store.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return {};
}

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string ip_text(const ASN1_OCTET_STRING* bytes) {
  const auto* data = ASN1_STRING_get0_data(bytes);
  if (ASN1_STRING_length(bytes) == 4) return fmt::format("{}.{}.{}.{}", data[0], data[1], data[2], data[3]);
  if (ASN1_STRING_length(bytes) != 16) return {};
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  std::copy_n(data, 16, reinterpret_cast<unsigned char*>(&v6.sin6_addr));
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&v6)).ip();
}

std::vector<std::string> alternative_names(X509* certificate) {
  std::vector<std::string> out;
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    switch (name->type) {
      case GEN_DNS: out.push_back("DNS:" + text_of(name->d.dNSName)); break;
      case GEN_URI: out.push_back("URI:" + text_of(name->d.uniformResourceIdentifier)); break;
      case GEN_EMAIL: out.push_back("email:" + text_of(name->d.rfc822Name)); break;
      case GEN_IPADD: out.push_back("IP:" + ip_text(name->d.iPAddress)); break;
      default: break;
    }
  }
  GENERAL_NAMES_free(names);
  return out;
}

}  // namespace

std::expected<std::shared_ptr<const ClientTrust>, TlsProblem> read_client_trust(const TlsSettings& settings) {
  using Of = TlsProblem::Of;
  ERR_clear_error();
  auto trust = std::make_shared<ClientTrust>();
  trust->store.reset(X509_STORE_new());
  auto ca = read_file("client CA", settings.client_ca, TlsFileLimits::client_ca);
  if (!ca) return wrong(Of::client_ca, std::move(ca.error()));
  trust->ca_bytes = std::move(*ca);
  std::string crl;
  if (std::string problem = add_authorities(settings.client_ca, trust->ca_bytes, trust->store.get());
      !problem.empty())
    return wrong(Of::client_ca, problem);
  if (!settings.client_crl.empty()) {
    auto read = read_file("CRL", settings.client_crl, TlsFileLimits::client_crl);
    if (!read) return wrong(Of::client_crl, std::move(read.error()));
    crl = std::move(*read);
    if (std::string problem = add_crls(settings.client_crl, crl, *trust); !problem.empty())
      return wrong(Of::client_crl, problem);
  }
  const auto digest = sha256(fmt::format("{}\n{}\n{}", settings.client_depth, trust->ca_bytes, crl));
  trust->digest.assign(digest.begin(), digest.end());
  return trust;
}

namespace {

// RFC 4514: the most specific part first; bytes above 127 stay UTF-8.
std::string name_text(const X509_NAME* name) {
  BioHandle text(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(text.get(), name, 0,
                     XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(text.get(), &bytes);
  return size > 0 ? std::string(bytes, static_cast<size_t>(size)) : std::string();
}

std::string serial_text(const ASN1_INTEGER* serial) {
  std::string out = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? "-" : "";
  for (int i = 0; i < ASN1_STRING_length(serial); ++i)
    out += fmt::format("{:02x}", ASN1_STRING_get0_data(serial)[i]);
  return out;
}

}  // namespace

ClientCertificate describe(X509* certificate) {
  ClientCertificate out;
  out.subject = name_text(X509_get_subject_name(certificate));
  out.issuer = name_text(X509_get_issuer_name(certificate));
  out.serial = serial_text(X509_get0_serialNumber(certificate));
  out.names = alternative_names(certificate);
  if (out.names.size() > max_alternative_names) out.names.resize(max_alternative_names);
  std::array<unsigned char, 32> digest{};
  unsigned int length = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &length);
  for (unsigned char byte : digest) out.fingerprint += fmt::format("{:02x}", byte);
  out.not_after = unix_seconds(X509_get0_notAfter(certificate));
  return out;
}

}  // namespace penstock::net
