// A model file in ONNX Runtime from C++: what the network is given in, boxes and scores out.
//
// NOT COMPILED where this folder was made: the Python package of ONNX Runtime has no headers. Take them with the library
// from https://github.com/microsoft/onnxruntime/releases, unpacked in $ORT:
//
//   g++ -std=c++17 -O2 run_model.cpp -I"$ORT/include" -L"$ORT/lib" -lonnxruntime -Wl,-rpath,"$ORT/lib" -o run_model
//   python run_model.py --tensor picture.png image.f32
//   ./run_model model.onnx image.f32 0.25
//
// It prints number of class, score and corners in pixels of the input for each box above the threshold, as the network
// gives them. How a picture is fitted into the input is `fit` in run_model.py. Where `suppression` in deployment.json is
// nms, boxes/nms.py says what follows.
#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <vector>

int main(int count, char** words) {
    if (count != 4) {
        std::cerr << "run_model MODEL TENSOR THRESHOLD\n";
        return 2;
    }
    Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "run_model");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    Ort::Session session(environment, words[1], options);
    const int64_t side = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape()[2];

    std::vector<float> images(static_cast<size_t>(3 * side * side));
    std::ifstream file(words[2], std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(images.data()), static_cast<std::streamsize>(images.size() * sizeof(float)))) {
        std::cerr << words[2] << ": too short for 3 x " << side << " x " << side << " float32\n";
        return 1;
    }
    const int64_t shape[] = {1, 3, side, side};
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto tensor = Ort::Value::CreateTensor<float>(memory, images.data(), images.size(), shape, 4);
    const char* inputs[] = {"images"};
    const char* outputs[] = {"boxes", "scores"};
    auto answers = session.Run(Ort::RunOptions{nullptr}, inputs, &tensor, 1, outputs, 2);

    const auto dimensions = answers[1].GetTensorTypeAndShapeInfo().GetShape();
    const float *corner = answers[0].GetTensorData<float>(), *score = answers[1].GetTensorData<float>();
    const float threshold = std::strtof(words[3], nullptr);
    for (int64_t p = 0; p < dimensions[1]; ++p)
        for (int64_t c = 0; c < dimensions[2]; ++c)
            if (score[p * dimensions[2] + c] > threshold)
                std::cout << c << ' ' << score[p * dimensions[2] + c] << ' ' << corner[4 * p] << ' '
                          << corner[4 * p + 1] << ' ' << corner[4 * p + 2] << ' ' << corner[4 * p + 3] << '\n';
    return 0;
}
