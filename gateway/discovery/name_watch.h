// One name, asked again whenever its TTL is over: what providers that know their endpoints by DNS share. An
// answer is kept until a better one comes: an error or an empty answer changes nothing but when the next
// question is asked. Owned by a provider; main thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/resolver.h"
#include "net/timer.h"

namespace penstock::discovery {

// When to ask again after an answer with this TTL: 0 would mean a question a request, a day a day of errors.
std::chrono::milliseconds delay_after_answer(std::chrono::seconds ttl);
// After the n-th failure in a row, from 1 on: 1 s, doubled up to 30 s.
std::chrono::milliseconds delay_after_failures(uint32_t failures);

class NameWatch {
 public:
  using Answer = std::function<void(Result<net::Resolved>)>;
  using Lookup = std::function<std::unique_ptr<net::Resolver::Query>(const std::string& name, Answer answer)>;
  // addresses: never empty, sorted, port 0. Only when they differ from the last ones.
  using Changed = std::function<void(const std::vector<net::Address>& addresses)>;
  using Log = std::function<void(const std::string& line)>;

  // Changed must not destroy the watch.
  NameWatch(net::Loop& loop, Lookup lookup, std::string name, Changed changed, Log log);
  void start();

 private:
  void ask();
  void on_answer(const Result<net::Resolved>& result);
  void on_addresses(std::vector<net::Address> addresses);
  void on_failure(std::string_view why);

  Lookup lookup_;
  std::string name_;
  Changed changed_;
  Log log_;
  std::vector<net::Address> addresses_;
  uint32_t failures_ = 0;  // in a row
  net::Timer timer_;
  std::unique_ptr<net::Resolver::Query> query_;
};

NameWatch::Lookup lookup_through(net::Resolver& resolver);

}  // namespace penstock::discovery
