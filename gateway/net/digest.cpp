#include "net/digest.h"

#include <openssl/sha.h>

namespace penstock::net {

std::array<uint8_t, 32> sha256(std::string_view bytes) {
  std::array<uint8_t, 32> out;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data());
  return out;
}

std::array<uint8_t, 20> sha1(std::string_view bytes) {
  std::array<uint8_t, 20> out;
  SHA1(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data());
  return out;
}

}  // namespace penstock::net
