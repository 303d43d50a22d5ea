// A port on 127.0.0.1 whose connections the test itself plays the backend of. Those that it does not accept
// are made by the kernel all the same and are read by nobody.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "e2e/harness/client.h"

namespace e2e {

class ListeningPort {
 public:
  // receive_buffer: bytes that the kernel takes for each connection; 0: as it likes.
  explicit ListeningPort(int receive_buffer = 0);
  ~ListeningPort();
  ListeningPort(const ListeningPort&) = delete;
  ListeningPort& operator=(const ListeningPort&) = delete;

  std::unique_ptr<Client> accept();  // waits for one
  int descriptor() const { return descriptor_; }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int descriptor_;
  uint16_t port_;
};

}  // namespace e2e
