// A real dnsmasq with records that a test changes while it runs. Ends with the test.
#pragma once
#include <doctest/doctest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "unit/net/net_support.h"

extern char** environ;

namespace penstock::discovery {

class Dnsmasq {
 public:
  // hosts: lines such as "127.0.0.2 a.test"; every record has this TTL.
  Dnsmasq(const std::string& hosts, int ttl_s) : ttl_s_(ttl_s) {
    std::string pattern = std::filesystem::temp_directory_path() / "penstock-dns-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    write(hosts);
    for (int attempt = 0; attempt < 10 && pid_ <= 0; ++attempt) start();
    REQUIRE_MESSAGE(pid_ > 0, "dnsmasq does not start (Debian: dnsmasq-base)");
  }
  ~Dnsmasq() {
    stop();
    std::filesystem::remove_all(folder_);
  }
  std::string server() const { return address_.to_string(); }
  // From now on these are the records.
  void change(const std::string& hosts) {
    write(hosts);
    ::kill(pid_, SIGHUP);
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  void write(const std::string& hosts) {
    std::filesystem::path next = folder_ / "hosts.new";
    std::ofstream(next) << hosts;
    std::filesystem::rename(next, folder_ / "hosts");
  }
  void find_port() {
    net::Fd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    address_ = net::loopback();
    REQUIRE(::bind(probe.get(), &address_.any, address_.length()) == 0);
    socklen_t length = sizeof(address_.v6);
    ::getsockname(probe.get(), &address_.any, &length);
  }
  void start() {
    find_port();
    std::vector<std::string> args = {"dnsmasq",
                                     "-k",
                                     "--no-daemon",
                                     "--conf-file=/dev/null",
                                     "--no-resolv",
                                     "--no-hosts",
                                     "--addn-hosts=" + (folder_ / "hosts").string(),
                                     "--port=" + std::to_string(address_.port()),
                                     "--listen-address=127.0.0.1",
                                     "--bind-interfaces",
                                     "--pid-file=",
                                     "--user=root",
                                     "--local=/test/",
                                     "--local-ttl=" + std::to_string(ttl_s_)};
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    int pipe_fds[2];
    REQUIRE(::pipe2(pipe_fds, O_CLOEXEC) == 0);
    net::Fd log(pipe_fds[0]), log_write(pipe_fds[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, log_write.get(), 2);
    int failed = 1;
    for (const char* path : {"/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq"})
      if (failed) failed = posix_spawn(&pid_, path, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    log_write.reset();
    if (failed) pid_ = -1;
    // The hosts file is read after "started": from then on changes are seen.
    std::string seen;
    char byte;
    while (!failed && ::read(log.get(), &byte, 1) == 1 && seen.find("/hosts") == seen.npos) seen += byte;
    log_ = std::move(log);
    if (!failed && seen.find("/hosts") == seen.npos) stop();
  }

  int ttl_s_;
  std::filesystem::path folder_;
  pid_t pid_ = -1;
  net::Fd log_;
  net::Address address_;
};

}  // namespace penstock::discovery
