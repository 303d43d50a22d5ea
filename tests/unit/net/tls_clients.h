// A CA with clients, good and bad, and its revocation lists.
#pragma once
#include <cstdio>

#include "tls_support.h"

namespace penstock::net {

// A CA, and clients of it and of another.
struct Clients {
  TempFolder folder;
  CertificateFiles server = make_certificate(folder, "server", {"one.test"}, 1);
  CertificateFiles ca = make_certificate(folder, "ca", CertificateRecipe{.serial = 10, .authority = true});
  CertificateFiles other_ca =
      make_certificate(folder, "other-ca", CertificateRecipe{.serial = 11, .authority = true});
  CertificateFiles good = make_certificate(
      folder, "Müller, A",
      CertificateRecipe{.names = {"a.test", "URI:spiffe://x/y", "email:a@b.test", "IP:192.0.2.7"},
                        .serial = 12,
                        .issuer = &ca,
                        .subject = "Example"});
  CertificateFiles stranger =
      make_certificate(folder, "stranger", CertificateRecipe{.serial = 13, .issuer = &other_ca});
  CertificateFiles expired = make_certificate(
      folder, "expired", CertificateRecipe{.serial = 14, .from_s = -7200, .until_s = -3600, .issuer = &ca});

  TlsSettings settings(ClientAuth mode) const {
    return {.name = "mtls",
            .certificates = {server},
            .client_auth = mode,
            .client_ca = ca.cert,
            .ticket_lifetime_s = 3600};
  }
  // A list of the CA that revokes these.
  std::string crl(const std::vector<long>& serials, long until_s = 3600,
                  const std::string& name = "crl.pem") const {
    X509_CRL* list = X509_CRL_new();
    X509_CRL_set_version(list, 1);
    X509* issuer = read_certificate(ca.cert);
    EVP_PKEY* key = read_private_key(ca.key);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer));
    ASN1_TIME* when = X509_gmtime_adj(nullptr, -60);
    X509_CRL_set1_lastUpdate(list, when);
    for (long serial : serials) {
      X509_REVOKED* entry = X509_REVOKED_new();
      ASN1_INTEGER* number = ASN1_INTEGER_new();
      ASN1_INTEGER_set(number, serial);
      X509_REVOKED_set_serialNumber(entry, number);
      X509_REVOKED_set_revocationDate(entry, when);
      X509_CRL_add0_revoked(list, entry);
      ASN1_INTEGER_free(number);
    }
    X509_gmtime_adj(when, until_s);
    X509_CRL_set1_nextUpdate(list, when);
    X509_CRL_sign(list, key, EVP_sha256());
    FILE* out = std::fopen(folder.file(name).c_str(), "w");
    PEM_write_X509_CRL(out, list);
    std::fclose(out);
    ASN1_TIME_free(when);
    X509_CRL_free(list);
    X509_free(issuer);
    EVP_PKEY_free(key);
    return folder.file(name);
  }
};

}  // namespace penstock::net
