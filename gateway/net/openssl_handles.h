// Owning handles of OpenSSL's objects. Private to net/.
#pragma once
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

namespace penstock::net {

template <auto release>
struct Releases {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};

using SslContext = std::unique_ptr<SSL_CTX, Releases<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Releases<SSL_free>>;
using BioHandle = std::unique_ptr<BIO, Releases<BIO_free_all>>;
using CertificateHandle = std::unique_ptr<X509, Releases<X509_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Releases<EVP_MD_CTX_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, Releases<EVP_PKEY_free>>;
using CrlHandle = std::unique_ptr<X509_CRL, Releases<X509_CRL_free>>;
using StoreHandle = std::unique_ptr<X509_STORE, Releases<X509_STORE_free>>;
struct ChainFree {
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
};
using ChainHandle = std::unique_ptr<STACK_OF(X509), ChainFree>;

// Why the last call failed, in OpenSSL's words; forgets it.
std::string openssl_reason();
// Reads from `bytes`, which must live as long.
BioHandle read_from(std::string_view bytes);
// Unix seconds; 0: no time.
int64_t unix_seconds(const ASN1_TIME* time);

}  // namespace penstock::net
