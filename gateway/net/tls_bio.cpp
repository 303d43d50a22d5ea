#include "net/tls_bio.h"

#include <algorithm>
#include <cstring>

#include "net/socket.h"

namespace penstock::net {
namespace {

int read_wire(BIO* bio, char* out, size_t size, size_t* done) {
  auto& input = static_cast<TlsWire*>(BIO_get_data(bio))->input;
  BIO_clear_retry_flags(bio);
  if (input.empty()) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *done = std::min(size, input.size());
  std::memcpy(out, input.data(), *done);
  input = input.subspan(*done);
  return 1;
}

int write_wire(BIO* bio, const char* bytes, size_t size, size_t* done) {
  BIO_clear_retry_flags(bio);
  if (Socket* socket = static_cast<TlsWire*>(BIO_get_data(bio))->output) socket->append({bytes, size});
  *done = size;
  return 1;
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* make_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "penstock wire");
  BIO_meth_set_read_ex(method, read_wire);
  BIO_meth_set_write_ex(method, write_wire);
  BIO_meth_set_ctrl(method, control);
  return method;
}

}  // namespace

BIO* make_tls_bio(TlsWire& wire) {
  static BIO_METHOD* const method = make_method();  // read only from here on; lives as long as the process
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, &wire);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace penstock::net
