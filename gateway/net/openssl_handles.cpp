#include "net/openssl_handles.h"

#include <openssl/err.h>
#include <time.h>

namespace penstock::net {

std::string openssl_reason() {
  unsigned long code = ERR_peek_last_error();
  const char* text = code ? ERR_reason_error_string(code) : nullptr;
  std::string out = text ? text : "unknown reason";
  ERR_clear_error();
  return out;
}

BioHandle read_from(std::string_view bytes) {
  return BioHandle(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

int64_t unix_seconds(const ASN1_TIME* time) {
  tm when{};
  return time != nullptr && ASN1_TIME_to_tm(time, &when) == 1 ? timegm(&when) : 0;
}

}  // namespace penstock::net
