// A shared object that is loaded already, as the dynamic linker sees it: for what only `plugin check` asks of
// one. Main thread; whoever loaded the object keeps it loaded meanwhile.
#pragma once

namespace penstock::plugin {

class LoadedObject {
 public:
  // The object that this address belongs to.
  explicit LoadedObject(const void* address);
  ~LoadedObject();
  LoadedObject(const LoadedObject&) = delete;
  LoadedObject& operator=(const LoadedObject&) = delete;

  // In the object itself or a library that it names; null: there is none, or it is null.
  const void* find(const char* symbol) const;
  bool has(const char* symbol) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace penstock::plugin
