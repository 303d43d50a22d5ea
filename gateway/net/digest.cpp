#include "net/digest.h"

#include <openssl/sha.h>

#include <cstdlib>

#include "net/openssl_handles.h"

namespace penstock::net {

// SHA256() looks the algorithm up and makes a context each time, with locks and allocations; this runs for
// every API key. The algorithm is found once, the context belongs to the thread.
std::array<uint8_t, 32> sha256(std::string_view bytes) {
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const DigestContext context(EVP_MD_CTX_new());
  std::array<uint8_t, 32> out;
  if (EVP_DigestInit_ex2(context.get(), algorithm, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), out.data(), nullptr) != 1)
    std::abort();  // an OpenSSL without SHA-256, or no memory for a hundred bytes
  return out;
}

std::array<uint8_t, 20> sha1(std::string_view bytes) {
  std::array<uint8_t, 20> out;
  SHA1(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data());
  return out;
}

}  // namespace penstock::net
