package zoo

// Networks returns all networks there are.
func Networks() []Network {
	image, cifar, digit := [3]int{3, 224, 224}, [3]int{3, 32, 32}, [3]int{1, 28, 28}
	// torchvision's initialisations
	torch := initial{conv: kaimingOut, linear: pytorch, bias: pytorch}
	mobile := initial{conv: kaimingOut, linear: normal(0.01), bias: zeros}
	mobile3 := mobile
	mobile3.momentum, mobile3.epsilon = 0.99, 1e-3
	return []Network{
		{"lenet_300_100", "LeCun et al. 1998, as Han et al. 2015 have it", digit, 10, false, 266_610, 266_200, initial{linear: caffe, bias: zeros}, lenet300},
		{"lenet5", "LeCun et al. 1998, as Caffe has it", digit, 10, false, 431_080, 2_293_000, initial{conv: caffe, linear: caffe, bias: zeros}, lenet5},
		{"alexnet", "Krizhevsky 2014, torchvision", image, 1000, false, 61_100_840, 714_188_480, initial{conv: pytorch, linear: pytorch, bias: pytorch}, alexnet},
		{"vgg16", "Simonyan and Zisserman 2014, torchvision", image, 1000, false, 138_357_544, 15_470_264_320, initial{conv: kaimingOut, linear: normal(0.01), bias: zeros}, vgg16},
		{"vgg16_cifar", "Zagoruyko 2015, as Li et al. 2017 have it", cifar, 10, false, 14_987_722, 313_463_808, initial{conv: kaimingOut, linear: pytorch, bias: pytorch, momentum: 0.9, epsilon: 1e-3}, vgg16CIFAR},
		{"resnet20", "He et al. 2016, section 4.2", cifar, 10, false, 269_722, 40_551_040, initial{conv: kaimingIn, linear: kaimingIn, bias: pytorch}, resnetCIFAR(3)},
		{"resnet32", "He et al. 2016, section 4.2", cifar, 10, false, 464_154, 68_862_592, initial{conv: kaimingIn, linear: kaimingIn, bias: pytorch}, resnetCIFAR(5)},
		{"resnet56", "He et al. 2016, section 4.2", cifar, 10, false, 853_018, 125_485_696, initial{conv: kaimingIn, linear: kaimingIn, bias: pytorch}, resnetCIFAR(9)},
		{"resnet110", "He et al. 2016, section 4.2", cifar, 10, false, 1_727_962, 252_887_680, initial{conv: kaimingIn, linear: kaimingIn, bias: pytorch}, resnetCIFAR(18)},
		{"resnet18", "He et al. 2016, torchvision", image, 1000, false, 11_689_512, 1_814_073_344, torch, resnet([4]int{2, 2, 2, 2}, false)},
		{"resnet34", "He et al. 2016, torchvision", image, 1000, false, 21_797_672, 3_663_761_408, torch, resnet([4]int{3, 4, 6, 3}, false)},
		{"resnet50", "He et al. 2016, torchvision", image, 1000, false, 25_557_032, 4_089_184_256, torch, resnet([4]int{3, 4, 6, 3}, true)},
		{"squeezenet1_1", "Iandola et al. 2016, torchvision", image, 1000, false, 1_235_496, 349_151_936, initial{conv: kaimingUniform, bias: zeros}, squeezenet},
		{"mobilenet_v1", "Howard et al. 2017", image, 1000, true, 4_231_976, 568_740_352, initial{conv: slim, linear: slim, bias: zeros, momentum: 0.9997, epsilon: 1e-3}, mobilenetV1},
		{"mobilenet_v2", "Sandler et al. 2018, torchvision", image, 1000, true, 3_504_872, 300_774_272, mobile, mobilenetV2},
		{"mobilenet_v3_large", "Howard et al. 2019, torchvision", image, 1000, true, 5_483_032, 216_589_760, mobile3, mobilenetV3Large},
		{"mobilenet_v3_small", "Howard et al. 2019, torchvision", image, 1000, true, 2_542_856, 56_510_400, mobile3, mobilenetV3Small},
		{"resnet8", "Banbury et al. 2021, MLPerf Tiny", cifar, 10, false, 78_186, 12_501_632, initial{conv: kaimingTruncated, linear: kaimingTruncated, bias: zeros, momentum: 0.99, epsilon: 1e-3}, resnet8},
		{"ds_cnn", "Zhang et al. 2017, MLPerf Tiny", [3]int{1, 49, 10}, 12, false, 23_756, 2_656_768, initial{conv: glorot, linear: glorot, bias: zeros, momentum: 0.99, epsilon: 1e-3}, dscnn},
	}
}
