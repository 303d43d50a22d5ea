#include "net/resolver.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <string>
#include <vector>

#include "net_support.h"

using namespace penstock;
using namespace penstock::net;

extern char** environ;

namespace {

Fd udp_socket(Address& address) {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  address = loopback();
  REQUIRE(::bind(fd.get(), &address.any, address.length()) == 0);
  socklen_t length = sizeof(address.v6);
  ::getsockname(fd.get(), &address.any, &length);
  return fd;
}

// A real dnsmasq on a port that was free a moment ago; tries another port when it is not.
class Dnsmasq {
 public:
  explicit Dnsmasq(const std::vector<std::string>& records) {
    for (int attempt = 0; attempt < 10 && pid_ <= 0; ++attempt) start(records);
    REQUIRE_MESSAGE(pid_ > 0, "dnsmasq does not start (Debian: dnsmasq-base)");
  }
  ~Dnsmasq() { stop(); }
  std::string server() const { return address_.to_string(); }

 private:
  void start(const std::vector<std::string>& records) {
    { Fd probe = udp_socket(address_); }
    std::vector<std::string> args = {"dnsmasq",
                                     "-k",
                                     "--no-daemon",
                                     "--conf-file=/dev/null",
                                     "--no-resolv",
                                     "--no-hosts",
                                     "--port=" + std::to_string(address_.port()),
                                     "--listen-address=127.0.0.1",
                                     "--bind-interfaces",
                                     "--pid-file=",
                                     "--user=root",
                                     "--local=/test/"};
    args.insert(args.end(), records.begin(), records.end());
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    int pipe_fds[2];
    REQUIRE(::pipe2(pipe_fds, O_CLOEXEC) == 0);
    Fd log(pipe_fds[0]), log_write(pipe_fds[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, log_write.get(), 2);
    int failed = 1;
    for (const char* path : {"/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq"})
      if (failed) failed = posix_spawn(&pid_, path, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    log_write.reset();
    std::string seen;
    char byte;
    while (!failed && ::read(log.get(), &byte, 1) == 1 && seen.find("started,") == seen.npos) seen += byte;
    log_ = std::move(log);
    if (failed || seen.find("started,") == seen.npos) {
      MESSAGE("dnsmasq: " << seen);
      if (!failed) stop();
      pid_ = -1;
    }
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid_ = -1;
  Fd log_;
  Address address_;
};

struct Answer {
  std::unique_ptr<Resolver::Query> query;
  std::optional<Result<Resolved>> result;
  void ask(Resolver& resolver, const std::string& name) {
    inside = true;
    query = resolver.resolve(name, [this](Result<Resolved> r) {
      CHECK(!inside);
      CHECK(!result.has_value());
      query.reset();
      result = std::move(r);
    });
    inside = false;
  }
  std::string text() const {
    if (!result || !*result) return "error";
    std::string out;
    for (auto& address : (*result)->addresses) {
      CHECK(address.port() == 0);
      out += address.ip() + " ";
    }
    return out + "ttl " + std::to_string((*result)->ttl.count());
  }
  bool inside = false;  // the call of resolve()
};

std::unique_ptr<Answer> ask(LoopRunner& runner, Resolver& resolver, const std::string& name) {
  auto answer = std::make_unique<Answer>();  // the callback points at it
  answer->ask(resolver, name);
  runner.until([&] { return answer->result.has_value(); });
  return answer;
}

}  // namespace

TEST_CASE("a real name server's addresses come with their TTL, sorted and each once") {
  Dnsmasq server({"--host-record=a.test,127.0.0.2,2", "--host-record=b.test,127.0.0.9,7",
                  "--host-record=b.test,127.0.0.3,7", "--host-record=b.test,fd00::5,7",
                  "--host-record=six.test,fd00::6,9", "--cname=alias.test,b.test,3"});
  LoopRunner runner;
  Resolver resolver(runner.loop, {server.server()});
  CHECK(ask(runner, resolver, "a.test")->text() == "127.0.0.2 ttl 2");
  CHECK(ask(runner, resolver, "b.test")->text() == "127.0.0.3 127.0.0.9 fd00::5 ttl 7");
  CHECK(ask(runner, resolver, "B.Test.")->text() == "127.0.0.3 127.0.0.9 fd00::5 ttl 7");
  CHECK(ask(runner, resolver, "six.test")->text() == "fd00::6 ttl 9");
  CHECK(ask(runner, resolver, "alias.test")->text() == "127.0.0.3 127.0.0.9 fd00::5 ttl 3");
}

TEST_CASE("many queries at once are all answered") {
  Dnsmasq server({"--host-record=a.test,127.0.0.2,2"});
  LoopRunner runner;
  Resolver resolver(runner.loop, {server.server()});
  std::vector<Answer> answers(100);
  for (auto& answer : answers) answer.ask(resolver, "a.test");
  runner.until([&] {
    return std::all_of(answers.begin(), answers.end(), [](auto& a) { return a.result.has_value(); });
  });
  for (auto& answer : answers) CHECK(answer.text() == "127.0.0.2 ttl 2");
}

TEST_CASE("a name that is not there is unresolved, a refusal may be retried") {
  Dnsmasq server({"--txt-record=text.test,only text"});
  LoopRunner runner;
  Resolver resolver(runner.loop, {server.server()});
  for (const char* name : {"missing.test", "text.test", "", "a..b"}) {
    CAPTURE(name);
    auto answer = ask(runner, resolver, name);
    REQUIRE(!*answer->result);
    CHECK(answer->result->error().kind == ErrorKind::unresolved);
    CHECK(answer->result->error().retry == Retry::no);
  }
  // Nothing is above this server: it refuses other zones.
  auto refused = ask(runner, resolver, "elsewhere.invalid.");
  REQUIRE(!*refused->result);
  CHECK(refused->result->error().kind != ErrorKind::unresolved);
  CHECK(refused->result->error().retry == Retry::yes);
}

TEST_CASE("literals and localhost need no server") {
  Address silent;
  Fd nobody = udp_socket(silent);
  LoopRunner runner;
  Resolver resolver(runner.loop, {silent.to_string()});
  CHECK(ask(runner, resolver, "192.0.2.7")->text() == "192.0.2.7 ttl 86400");
  CHECK(ask(runner, resolver, "::1")->text() == "::1 ttl 86400");
  auto localhost = ask(runner, resolver, "localhost");
  REQUIRE(*localhost->result);
  CHECK((*localhost->result)->ttl == std::chrono::seconds(30));
  for (auto& address : (*localhost->result)->addresses) CHECK(address.is_loopback());
  CHECK(ask(runner, resolver, "app.localhost")->text() == "127.0.0.1 ::1 ttl 30");
}

TEST_CASE("a silent server is a timeout") {
  Address silent;
  Fd nobody = udp_socket(silent);
  LoopRunner runner;
  Resolver resolver(runner.loop, {silent.to_string()}, 50);
  auto answer = ask(runner, resolver, "a.test");
  REQUIRE(!*answer->result);
  CHECK(answer->result->error().kind == ErrorKind::timeout);
  CHECK(answer->result->error().retry == Retry::yes);
}

TEST_CASE("a destroyed query is never answered, also when its answer was about to be told") {
  Dnsmasq server({"--host-record=a.test,127.0.0.2,2"});
  LoopRunner runner;
  Resolver resolver(runner.loop, {server.server()});
  bool called = false;
  auto dropped = resolver.resolve("a.test", [&](auto) { called = true; });
  auto literal = resolver.resolve("192.0.2.1", [&](auto) { called = true; });
  dropped.reset();
  literal.reset();
  CHECK(ask(runner, resolver, "a.test")->text() == "127.0.0.2 ttl 2");
  CHECK(!called);
}

TEST_CASE("a resolver that is destroyed cancels what is pending, also from inside an answer") {
  Address silent;
  Fd nobody = udp_socket(silent);
  LoopRunner runner;
  auto resolver = std::make_unique<Resolver>(runner.loop, std::vector<std::string>{silent.to_string()});
  Answer pending;
  pending.ask(*resolver, "a.test");
  runner.turns(2);
  auto literal = resolver->resolve("192.0.2.1", [&](auto) { resolver.reset(); });
  runner.until([&] { return pending.result.has_value(); });
  CHECK(!resolver);
  REQUIRE(!*pending.result);
  CHECK(pending.result->error().kind == ErrorKind::cancelled);
}

TEST_CASE("a server that cannot be understood fails every query") {
  LoopRunner runner;
  Resolver resolver(runner.loop, {"not an address"});
  auto answer = ask(runner, resolver, "a.test");
  REQUIRE(!*answer->result);
  CHECK(answer->result->error().kind == ErrorKind::system);
}
