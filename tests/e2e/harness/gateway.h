// The real daemon and its backends, each a process of its own on ports that the kernel chooses.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "e2e/harness/process.h"
#include "e2e/harness/temp_folder.h"

namespace e2e {

// The project's echo backend (tests/programs/echo).
class Backend {
 public:
  // Port 0: the kernel chooses.
  explicit Backend(const std::string& name = "one", const std::string& address = "127.0.0.1",
                   uint16_t port = 0);
  uint16_t port() const { return port_; }
  std::string endpoint() const { return address_ + ":" + std::to_string(port_); }
  void kill() { process_.signal(9); }

 private:
  std::string address_;
  Process process_;
  uint16_t port_;
};

// penstock itself, serving by the time the constructor returns. Listeners take port 0: port("http") is what
// the kernel chose. The destructor stops it and checks that it ended well.
class Gateway {
 public:
  explicit Gateway(const std::string& configuration, std::map<std::string, std::string> environment = {});
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  uint16_t port(const std::string& listener = "http") const { return ports_.at(listener); }
  uint16_t status_port() const { return port("status"); }
  const TempFolder& folder() const { return folder_; }
  Process& process() { return process_; }

  // Replaces the configuration and reloads; the line that says what became of it.
  std::string reload(const std::string& configuration);
  // Asks it to end; the exit code.
  int stop(int signal);
  int wait();  // until it has ended by itself
  size_t resident_bytes() const;
  size_t open_descriptors() const;

 private:
  void learn_ports();
  TempFolder folder_;
  Process process_;
  std::map<std::string, uint16_t> ports_;
  bool stopped_ = false;
};

// Its other commands, to the end.
Ran penstock(std::vector<std::string> words);
std::string binary(const std::string& name);  // in the build folder
std::string source(const std::string& name);  // in the source folder

// A port on 127.0.0.1 where nobody listens: connections are refused while the object lives.
class ClosedPort {
 public:
  ClosedPort();
  ~ClosedPort();
  uint16_t port() const { return port_; }

 private:
  int descriptor_;
  uint16_t port_;
};

// The head that every configuration of these tests begins with: one worker pool, one plain listener.
std::string basics(const std::string& more = {});
// The rest of one that has everything go to this endpoint; `route` is added to its only route.
std::string all_to(const std::string& endpoint, const std::string& route = {});

}  // namespace e2e
