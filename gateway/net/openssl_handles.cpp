#include "net/openssl_handles.h"

#include <errno.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <time.h>

#include <cstring>

namespace penstock::net {

std::string openssl_reason() {
  unsigned long code = ERR_peek_last_error();
  const char* text = code ? ERR_reason_error_string(code) : nullptr;
  std::string out = text ? text : "unknown reason";
  ERR_clear_error();
  return out;
}

BioHandle open_file(const char* what, const std::string& path, std::string& problem) {
  errno = 0;
  BioHandle bio(BIO_new_file(path.c_str(), "re"));
  // OpenSSL's own message for a file that is not there is hard to read.
  if (!bio) problem = fmt::format("cannot read {} '{}': {}", what, path, std::strerror(errno));
  ERR_clear_error();
  return bio;
}

int64_t unix_seconds(const ASN1_TIME* time) {
  tm when{};
  return time != nullptr && ASN1_TIME_to_tm(time, &when) == 1 ? timegm(&when) : 0;
}

}  // namespace penstock::net
