// The scorer for the JVM: the native methods of org.scriptable.host.NativeEngine.
//
// A handle is not thread-safe; the caller must not use it from two threads at once, nor after
// nativeClose.
#include <jni.h>

#include <cmath>
#include <string>
#include <vector>

#include "artefact.h"
#include "error.h"

namespace {

// A Java exception is on its way: leave native code.
struct Pending {};

template <typename Result>
Result checked(JNIEnv* env, Result result) {
  if (env->ExceptionCheck()) throw Pending();
  return result;
}

// JNI's own strings are in a variant of UTF-8: take and give bytes.
std::string to_utf8(JNIEnv* env, jstring text) {
  const jclass type = checked(env, env->FindClass("java/lang/String"));
  const jmethodID get_bytes =
      checked(env, env->GetMethodID(type, "getBytes", "(Ljava/lang/String;)[B"));
  const jstring charset = checked(env, env->NewStringUTF("UTF-8"));
  const auto bytes =
      static_cast<jbyteArray>(checked(env, env->CallObjectMethod(text, get_bytes, charset)));
  std::string result(static_cast<std::size_t>(env->GetArrayLength(bytes)), '\0');
  env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(result.size()),
                          reinterpret_cast<jbyte*>(result.data()));
  return result;
}

jstring from_utf8(JNIEnv* env, const std::string& text) {
  const auto size = static_cast<jsize>(text.size());
  const jbyteArray bytes = checked(env, env->NewByteArray(size));
  env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(text.data()));
  const jclass type = checked(env, env->FindClass("java/lang/String"));
  const jmethodID make =
      checked(env, env->GetMethodID(type, "<init>", "([BLjava/lang/String;)V"));
  const jstring charset = checked(env, env->NewStringUTF("UTF-8"));
  return static_cast<jstring>(checked(env, env->NewObject(type, make, bytes, charset)));
}

void raise(JNIEnv* env, const char* type, const std::string& message) {
  try {
    const jclass found = checked(env, env->FindClass(type));
    const jmethodID make =
        checked(env, env->GetMethodID(found, "<init>", "(Ljava/lang/String;)V"));
    const jobject error = checked(env, env->NewObject(found, make, from_utf8(env, message)));
    env->Throw(static_cast<jthrowable>(error));
  } catch (const Pending&) {
  }
}

// Runs what may throw; a C++ exception must not cross into the JVM.
template <typename Body, typename Result>
Result guarded(JNIEnv* env, const char* type, Result otherwise, Body body) {
  try {
    return body();
  } catch (const Pending&) {
  } catch (const std::bad_alloc&) {
    raise(env, "java/lang/OutOfMemoryError", "out of memory in native code");
  } catch (const std::exception& error) {
    raise(env, type, error.what());
  }
  return otherwise;
}

spoof::Artefact* artefact_of(jlong handle) { return reinterpret_cast<spoof::Artefact*>(handle); }

// The numbers of each input, once they are as many as the model takes and all finite.
std::vector<std::vector<float>> read_inputs(JNIEnv* env, jobjectArray inputs,
                                            const std::vector<std::int64_t>& sizes) {
  const auto refuse = [env](const std::string& what) {
    raise(env, "java/lang/IllegalArgumentException", what);
    throw Pending();
  };
  std::vector<std::vector<float>> read;
  for (jsize i = 0; i < env->GetArrayLength(inputs); ++i) {
    const auto input =
        static_cast<jfloatArray>(checked(env, env->GetObjectArrayElement(inputs, i)));
    read.emplace_back(static_cast<std::size_t>(env->GetArrayLength(input)));
    env->GetFloatArrayRegion(input, 0, static_cast<jsize>(read.back().size()), read.back().data());
    env->DeleteLocalRef(input);
  }
  if (read.size() != sizes.size())
    refuse("inputs: expected " + std::to_string(sizes.size()) + ", got " +
           std::to_string(read.size()));
  for (std::size_t i = 0; i < read.size(); ++i) {
    const std::string place = "input " + std::to_string(i) + ": ";
    if (read[i].size() != static_cast<std::size_t>(sizes[i]))
      refuse(place + "expected " + std::to_string(sizes[i]) + " numbers, got " +
             std::to_string(read[i].size()));
    // Told as any wrong argument is: a model may well answer such an input.
    for (const float number : read[i])
      if (!std::isfinite(number)) refuse(place + "contains NaN or infinity");
  }
  return read;
}

jobjectArray to_java(JNIEnv* env, const std::vector<spoof::EValue>& results) {
  const jclass type = checked(env, env->FindClass("[F"));
  const auto count = static_cast<jsize>(results.size());
  const jobjectArray all = checked(env, env->NewObjectArray(count, type, nullptr));
  for (jsize i = 0; i < count; ++i) {
    const spoof::EValue& value = results[static_cast<std::size_t>(i)];
    if (!value.isTensor() || !spoof::holds_floats(value, value.toTensor().numel()))
      throw spoof::Error("a result of forward is no float32 tensor");
    const auto size = static_cast<jsize>(value.toTensor().numel());
    const jfloatArray numbers = checked(env, env->NewFloatArray(size));
    env->SetFloatArrayRegion(numbers, 0, size, value.toTensor().const_data_ptr<float>());
    env->SetObjectArrayElement(all, i, numbers);
    env->DeleteLocalRef(numbers);
  }
  return all;
}

}  // namespace

extern "C" {

JNIEXPORT jlong JNICALL Java_org_scriptable_host_NativeEngine_nativeLoad(JNIEnv* env, jobject,
                                                                         jstring path,
                                                                         jint threads) {
  return guarded(env, "java/io/IOException", jlong{0}, [&] {
    if (threads < 1) throw spoof::Error("threads: expected 1 or more, got " + std::to_string(threads));
    return reinterpret_cast<jlong>(new spoof::Artefact(to_utf8(env, path), threads));
  });
}

JNIEXPORT jstring JNICALL Java_org_scriptable_host_NativeEngine_nativeContract(JNIEnv* env, jobject,
                                                                               jlong handle) {
  return guarded(env, "java/lang/IllegalStateException", jstring{nullptr},
                 [&] { return from_utf8(env, artefact_of(handle)->contract_text()); });
}

JNIEXPORT jobjectArray JNICALL Java_org_scriptable_host_NativeEngine_nativeForward(
    JNIEnv* env, jobject, jlong handle, jobjectArray inputs) {
  return guarded(env, "java/lang/IllegalStateException", jobjectArray{nullptr}, [&] {
    spoof::Artefact* artefact = artefact_of(handle);
    const auto read = read_inputs(env, inputs, artefact->input_sizes());
    std::vector<spoof::Row> rows;
    for (const auto& numbers : read)
      rows.emplace_back(numbers.data(), static_cast<std::int64_t>(numbers.size()));
    return to_java(env, artefact->forward(rows));
  });
}

JNIEXPORT void JNICALL Java_org_scriptable_host_NativeEngine_nativeClose(JNIEnv*, jobject,
                                                                         jlong handle) {
  delete artefact_of(handle);
}

}  // extern "C"
