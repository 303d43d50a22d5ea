#include "net/tls_identity.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "net/bounded_file.h"
#include "net/tls_hello.h"

namespace penstock::net {

namespace {

int no_passphrase(char*, int, int, void*) { return 0; }  // instead of asking on the terminal

std::vector<std::string> dns_names(X509* certificate) {
  std::vector<std::string> out;
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    out.push_back(normal_server_name({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                      static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))}));
  }
  GENERAL_NAMES_free(names);
  return out;
}

std::string read_chain(const std::string& path, TlsIdentity& identity) {
  const auto bytes = read_file("certificate", path, TlsFileLimits::certificate);
  if (!bytes) return bytes.error();
  const BioHandle bio = read_from(*bytes);
  auto unusable = [&] {
    return fmt::format("'{}' is no usable PEM certificate chain, leaf first: {}", path, openssl_reason());
  };
  identity.leaf.reset(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr));
  if (!identity.leaf) return unusable();
  identity.chain.reset(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr))
    sk_X509_push(identity.chain.get(), next);
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return unusable();
  ERR_clear_error();
  return {};
}

std::string read_key(const CertificateFiles& files, TlsIdentity& identity) {
  auto bytes = read_file("key", files.key, TlsFileLimits::key);
  if (!bytes) return bytes.error();
  identity.key.reset(PEM_read_bio_PrivateKey(read_from(*bytes).get(), nullptr, no_passphrase, nullptr));
  OPENSSL_cleanse(bytes->data(), bytes->size());
  if (!identity.key)
    return fmt::format("'{}' is no usable PEM private key without passphrase: {}", files.key,
                       openssl_reason());
  if (X509_check_private_key(identity.leaf.get(), identity.key.get()) != 1) {
    ERR_clear_error();
    return fmt::format("key '{}' does not belong to certificate '{}'", files.key, files.cert);
  }
  return {};
}

using OcspResponse = std::unique_ptr<OCSP_RESPONSE, Releases<OCSP_RESPONSE_free>>;
using OcspBasic = std::unique_ptr<OCSP_BASICRESP, Releases<OCSP_BASICRESP_free>>;

// The part of the answer that is about this certificate; null: none is.
OCSP_SINGLERESP* about(OCSP_BASICRESP* basic, X509* leaf, X509* issuer) {
  for (int i = 0; i < OCSP_resp_count(basic); ++i) {
    OCSP_SINGLERESP* single = OCSP_resp_get0(basic, i);
    ASN1_OBJECT* digest = nullptr;
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single));
    OCSP_id_get0_info(nullptr, &digest, nullptr, nullptr, id);
    const EVP_MD* md = EVP_get_digestbyobj(digest);
    OCSP_CERTID* ours = md ? OCSP_cert_to_id(md, leaf, issuer) : nullptr;
    const bool same = ours && OCSP_id_cmp(ours, id) == 0;
    OCSP_CERTID_free(ours);
    if (same) return single;
  }
  return nullptr;
}

bool signed_by(OCSP_BASICRESP* basic, const TlsIdentity& identity, X509* issuer) {
  StoreHandle store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), issuer);
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  const bool good = OCSP_basic_verify(basic, identity.chain.get(), store.get(), 0) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

std::string day(int64_t seconds) {
  const time_t when = static_cast<time_t>(seconds);
  tm parts{};
  ::gmtime_r(&when, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::expected<std::unique_ptr<TlsIdentity>, std::string> read_identity(const CertificateFiles& files) {
  ERR_clear_error();
  auto identity = std::make_unique<TlsIdentity>();
  if (std::string problem = read_chain(files.cert, *identity); !problem.empty())
    return std::unexpected(std::move(problem));
  if (std::string problem = read_key(files, *identity); !problem.empty())
    return std::unexpected(std::move(problem));
  identity->key_type = EVP_PKEY_get_base_id(identity->key.get());
  identity->names = dns_names(identity->leaf.get());
  identity->not_after = unix_seconds(X509_get0_notAfter(identity->leaf.get()));
  return identity;
}

std::expected<OcspStaple, StapleProblem> read_staple(const std::string& path, const TlsIdentity& identity) {
  using enum StapleProblem::Kind;
  auto wrong = [&](std::string_view what, StapleProblem::Kind kind = unusable) {
    ERR_clear_error();
    return std::unexpected(StapleProblem{kind, fmt::format("OCSP answer '{}' {}", path, what)});
  };
  const auto bytes = read_file("OCSP answer", path, TlsFileLimits::ocsp);
  if (!bytes) return std::unexpected(StapleProblem{unusable, bytes.error()});
  OcspResponse response(d2i_OCSP_RESPONSE_bio(read_from(*bytes).get(), nullptr));
  if (!response) return wrong("is no DER (openssl ocsp -respout writes one)");
  if (OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return wrong("says that the responder could not answer");
  OcspBasic basic(OCSP_response_get1_basic(response.get()));
  if (!basic) return wrong("is of an unknown form");
  // The leaf may be its own issuer (self-signed).
  X509* issuer =
      sk_X509_num(identity.chain.get()) > 0 ? sk_X509_value(identity.chain.get(), 0) : identity.leaf.get();
  if (X509_check_issued(issuer, identity.leaf.get()) != X509_V_OK)
    return wrong("cannot be checked: the certificate's file lacks its issuer");
  OCSP_SINGLERESP* single = about(basic.get(), identity.leaf.get(), issuer);
  if (!single) return wrong("is about another certificate", of_another_certificate);
  if (!signed_by(basic.get(), identity, issuer)) return wrong("is not signed by the certificate's issuer");
  int reason = 0;
  ASN1_GENERALIZEDTIME *from = nullptr, *until = nullptr;
  if (OCSP_single_get0_status(single, &reason, nullptr, &from, &until) != V_OCSP_CERTSTATUS_GOOD)
    return wrong("does not say that the certificate is good");
  OcspStaple staple;
  staple.from = unix_seconds(from);
  staple.until = unix_seconds(until);
  unsigned char* der = nullptr;
  const int size = i2d_OCSP_RESPONSE(response.get(), &der);
  if (size > 0) staple.der.assign(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return staple;
}

}  // namespace penstock::net
