# The whole chain as files with their prerequisites: touch a stage's input, and just what follows is made again.
# Copy the middle part for your own experiments; `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
THUNDER := $(VENV)/bin/thunder
INSTALLED := $(VENV)/.installed

# D: where the demonstration goes, made with the embedded model. C: where the chain's artifacts go, made from nothing, and how
# much is synthesised and trained: minutes on two cores.
D := demo
C := chain
HOURS := 0.5
SUBJECTS := 24
BATCH := 8
M2S_STEPS := 300
JUDGE_STEPS := 150
DIFFUSION_STEPS := 550
TAKES := 5
TEST_TAKES := 3
SEED := 0
# Of the model that judges: one that supervised the training would flatter it.
JUDGE_SEED := 100

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9/-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9/-]+):.*## /\1\t/' | expand -t 17

# --- installation -----------------------------------------------------------------------------------------------------

.PHONY: install
install: $(INSTALLED) ## make .venv with everything in it

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[dev]'
	$(THUNDER) doctor --fix
	touch $@

# --- the demonstration ------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(D)/takes.mp4 $(D)/takes.png $(D)/arkit/.done $(D)/said/.done ## speech in, five talking heads out, by the embedded model: a minute
	@echo
	@echo "Look at:  $(D)/takes.mp4      five takes of assets/speech.wav, side by side, with sound"
	@echo "          $(D)/takes.png      the same as a contact sheet"
	@echo "          $(D)/arkit/         their ARKit curves, one Live Link Face CSV a take, and the speech"
	@echo "          $(D)/said/          what the first take's face says, as sound and as a film beside the input"

# The embedded model is in the repository: what it was made from is not asked for.
$(D)/samples.h5: assets/speech.wav | $(INSTALLED)
	$(THUNDER) sample $< --n $(TAKES) --model assets/diffusion.h5 --m2s assets/m2s.h5 --seed $(SEED) -o $@ --force

%/takes.mp4: %/samples.h5
	$(THUNDER) render $< -o $@ --force

%/takes.png: %/samples.h5
	$(THUNDER) render $< -o $@ --force

%/arkit/.done: %/samples.h5
	$(THUNDER) export $< --format arkit -o $(@D) --force
	touch $@

$(D)/said/.done: assets/speech.wav | $(INSTALLED)
	$(THUNDER) sample $< --n 1 --model assets/diffusion.h5 --seed $(SEED) -o $(D)/first.h5 --force
	$(THUNDER) speak $(D)/first.h5 --film --m2s assets/m2s.h5 --vocoder assets/vocoder.h5 -o $(@D) --force
	touch $@

# --- the chain --------------------------------------------------------------------------------------------------------

.PHONY: chain
chain: $(C)/takes.mp4 $(C)/takes.png $(C)/arkit/.done $(C)/metrics.h5 ## the same from nothing: corpus, models, takes, figures
	@echo
	@echo "Look at:  $(C)/takes.mp4      five takes of assets/speech.wav, side by side, with sound"
	@echo "          $(C)/takes.png      the same as a contact sheet"
	@echo "          $(C)/metrics.h5     the table above, with the figures of every test clip"

# A corpus is a folder; the file that is written into it last stands for all of it.
$(C)/corpus/synthesis.json: | $(INSTALLED)
	$(THUNDER) synthesize $(C)/corpus --hours $(HOURS) --subjects $(SUBJECTS) --seed $(SEED) --force

$(C)/dataset.h5: $(C)/corpus/synthesis.json
	$(THUNDER) preprocess $(C)/corpus -o $@ --force

$(C)/m2s.h5: $(C)/dataset.h5
	$(THUNDER) train-m2s $< -o $@ --steps $(M2S_STEPS) --batch-size $(BATCH) --seed $(SEED) --force

$(C)/judge.h5: $(C)/dataset.h5
	$(THUNDER) train-m2s $< -o $@ --steps $(JUDGE_STEPS) --batch-size $(BATCH) --seed $(JUDGE_SEED) --force

$(C)/diffusion.h5: $(C)/dataset.h5 $(C)/m2s.h5
	$(THUNDER) train-diffusion $< -o $@ --m2s $(C)/m2s.h5 --steps $(DIFFUSION_STEPS) --batch-size $(BATCH) --seed $(SEED) --force

$(C)/samples.h5: assets/speech.wav $(C)/diffusion.h5 $(C)/m2s.h5
	$(THUNDER) sample $< --n $(TAKES) --model $(C)/diffusion.h5 --m2s $(C)/m2s.h5 --seed $(SEED) -o $@ --force

$(C)/test_samples.h5: $(C)/dataset.h5 $(C)/diffusion.h5
	$(THUNDER) sample --split test --dataset $< --n $(TEST_TAKES) --model $(C)/diffusion.h5 --seed $(SEED) -o $@ --force

$(C)/metrics.h5: $(C)/test_samples.h5 $(C)/dataset.h5 $(C)/judge.h5
	$(THUNDER) evaluate $< --reference $(C)/dataset.h5 --m2s $(C)/judge.h5 -o $@ --force

# --- development ------------------------------------------------------------------------------------------------------

.PHONY: test
test: $(INSTALLED) ## run the tests but the slow ones
	$(VENV)/bin/python -m pytest -m "not slow"

.PHONY: test-slow
test-slow: $(INSTALLED) ## run the slow ones: a page in a browser, where a Chromium is installed; interrupted runs
	$(VENV)/bin/python -m pytest -m slow

.PHONY: lint
lint: $(INSTALLED) ## lint, format and type checks
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

.PHONY: bench
bench: $(INSTALLED) ## measure speed, as ratios to a reference workload of the same run
	$(VENV)/bin/python -m tests.bench

# SHOWN: where the pictures go. The corpus is small, for pictures alone; its one speaker of the test split is s006.
SHOWN := assets
PICTURES := $(D)/pictures

.PHONY: pictures
pictures: $(INSTALLED) ## make the README's pictures of takes, pages and errors again; wants a Chromium
	mkdir -p $(PICTURES) $(SHOWN)
	$(THUNDER) sample assets/speech.wav --n 5 --model assets/diffusion.h5 --m2s assets/m2s.h5 --seed 0 -o $(PICTURES)/takes.h5 --force
	$(THUNDER) render $(PICTURES)/takes.h5 --format frames --size 360 -o $(PICTURES)/frames --force
	cp $(PICTURES)/frames/000063.png $(SHOWN)/takes.png
	$(THUNDER) render $(PICTURES)/takes.h5 -o $(PICTURES)/takes.html --force
	$(VENV)/bin/python -m tests.pictures $(PICTURES)/takes.html $(SHOWN)/page.png --size 1200x600 --seek 2.52
	$(THUNDER) synthesize $(PICTURES)/corpus --hours 0.06 --subjects 8 --seed 2 --force
	$(THUNDER) preprocess $(PICTURES)/corpus -o $(PICTURES)/dataset.h5 --force
	$(THUNDER) sample --split test --dataset $(PICTURES)/dataset.h5 --n 3 --model assets/diffusion.h5 --seed 0 -o $(PICTURES)/test.h5 --force
	$(THUNDER) evaluate $(PICTURES)/test.h5 --reference $(PICTURES)/dataset.h5 --metrics lve,l-pcc,closure-rate,s-div \
	  -o $(PICTURES)/metrics.h5 --report $(PICTURES)/report.html --force
	$(VENV)/bin/python -m tests.pictures $(PICTURES)/report.html $(SHOWN)/report.png --size 1000x640 --heading "Lips and phones"
	$(THUNDER) render $(PICTURES)/test.h5 --reference $(PICTURES)/dataset.h5 --clip s006_0001 --takes 0 --errors 4 --columns 6 \
	  --size 200 -o $(SHOWN)/errors.png --force

.PHONY: clean
clean: ## remove what the demonstration and the chain made
	rm -rf $(D) $(C)

# --- trained assets, and the figures of the README --------------------------------------------------------------------

# E: where their corpus and the models behind the figures go. Half of the speakers of English speak with recorded voices,
# which want flite and festival (`thunder doctor` says how to get them).
E := embedded
M2S_SEEDS := 0 1 2
M2S_MODELS := $(foreach input,mouth2s face2s exp2s,$(foreach seed,$(M2S_SEEDS),$(E)/m2s-$(input)-$(seed).h5))

.PHONY: embedded
embedded: assets/m2s.h5 assets/judge.h5 assets/vocoder.h5 assets/recogniser.h5 assets/lipreader.h5 assets/diffusion.h5 ## train the embedded models again: three hours on two cores

.PHONY: results-m2s
results-m2s: assets/results/m2s.json tables ## measure mesh-to-speech over inputs and seeds: two hours on two cores

, := ,

# A: the animators behind `make results-thunder`, HOW-WHO-SEED: how it is trained, and which mesh-to-speech model listens, at
# the weight of the configuration, or at another: HOW-WHO-wWEIGHT-SEED. `make -j` trains several at once.
A := $(E)/thunder
THUNDER_SEEDS := 0 1 2
# Test clips that each is sampled on, the same for all, and takes of each.
THUNDER_CLIPS := 60
THUNDER_TAKES := 3
# trained: the encoder of speech learns along. frozen: it is that of an animator of another seed, to whom nobody listened. few,
# noisy: trained on little, or on poorly tracked faces.
HOW_frozen := --freeze-encoder --encoder-from $(A)/encoder.h5
HOW_regression := --regression
HOW_few := --max-clips 100
HOW_noisy := --motion-noise 0.5
LISTENERS := exp2s face2s mouth2s
THUNDER_ROWS := $(foreach how,trained frozen,$(foreach who,none mouth2s face2s exp2s,$(how)-$(who))) regression-none
# The weight of the listener, which is .1 where it is not said, and what the listening is worth where there is less to learn from.
WEIGHT_ROWS := trained-none trained-mouth2s-w0.03 trained-mouth2s $(foreach weight,0.3 1,trained-mouth2s-w$(weight))
WHY_ROWS := $(foreach how,few noisy,$(how)-none $(how)-mouth2s)
by_seed = $(foreach seed,$(THUNDER_SEEDS),$(1:%=%-$(seed)))
ANIMATORS := $(sort $(call by_seed,$(THUNDER_ROWS) $(WEIGHT_ROWS) $(WHY_ROWS)))
measured = $(patsubst %,$(A)/metrics/%.h5,$(call by_seed,$(1)))
THUNDER_DIFFERENCES := regression-none,trained-none \
  $(foreach row,$(filter-out %-none,$(THUNDER_ROWS)),$(row),$(firstword $(subst -, ,$(row)))-none)

.PHONY: results-thunder
results-thunder: assets/results/thunder.json assets/results/thunder_weights.json assets/results/thunder_why.json tables ## measure what mesh-to-speech teaches the animator: some three hours on two cores

# V: what guides an animator, ANIMATOR-HOW-SEED. The lip reader that guides is of another seed than the one that judges; as in
# the paper, it is tuned along with FaceFormer and CodeTalker, and lip vertices count once more wherever it guides them.
V := $(E)/avguidance
AV_SEEDS := 0 1 2
GUIDE := $(E)/lipreader-0.h5
GUIDED_plain :=
GUIDED_rlv := --weight-lips 1
GUIDED_visual := --weight-lips 1 --lipreader $(GUIDE) --tune-expert --lipreader-input video
GUIDED_noprior := --weight-lips 1 --lipreader $(GUIDE) --tune-expert --forget-prior
GUIDED_av := --weight-lips 1 --lipreader $(GUIDE) --tune-expert
# THUNDER compares lip vertices anyhow, and whoever guides it is frozen; without a lip reader it is that of `make results-thunder`.
THUNDER_GUIDED_av := --lipreader $(GUIDE)
THUNDER_GUIDED_both := --lipreader $(GUIDE) --m2s $(E)/m2s-mouth2s-0.h5
# Test clips that each is sampled on, and those of CodeTalker.
AV_CLIPS := 40
FURTHER_CLIPS := 24
AV_HOWS := plain rlv visual noprior av
AV_ROWS := $(AV_HOWS:%=faceformer-%) $(addprefix thunder-,plain m2s av both)
AV_MODELS := $(foreach seed,$(AV_SEEDS),$(AV_ROWS:%=$(V)/%-$(seed).h5))
AV_PAIRS := rlv$(,)plain visual$(,)plain noprior$(,)plain av$(,)plain av$(,)rlv av$(,)visual av$(,)noprior
differences_of = $(foreach pair,$(AV_PAIRS),$(1)-$(subst $(,),$(,)$(1)-,$(pair)))
AV_DIFFERENCES := $(call differences_of,faceformer) \
  thunder-m2s,thunder-plain thunder-av,thunder-plain thunder-both,thunder-plain thunder-both,thunder-m2s

# F: what the same guides teach CodeTalker once it can speak, codetalker-HOW-SEED: all rows of a seed go on from `first`. It
# learns slowly, and guidance costs ten times what the rest of a step does.
F := $(E)/further
FIRST_MODELS := $(AV_SEEDS:%=$(F)/codetalker-first-%.h5)
FURTHER_MODELS := $(foreach seed,$(AV_SEEDS),$(AV_HOWS:%=$(F)/codetalker-%-$(seed).h5))

.PHONY: results-avguidance
results-avguidance: assets/results/lipreader.json assets/results/avguidance.json assets/results/avguidance_further.json assets/results/minimal_pairs.png tables ## measure lip readers, and what they teach animators: four hours on two cores

.PHONY: tables
tables: $(INSTALLED) ## write the README's tables again from assets/results
	$(VENV)/bin/python -m tests.tables

$(E)/corpus/synthesis.json: | $(INSTALLED)
	$(THUNDER) synthesize $(E)/corpus --hours 4 --subjects 96 --engine espeak,flite,festival \
	  --languages en,en,en,de,es,fr,it,zh --seed 2 --force

$(E)/dataset.h5: $(E)/corpus/synthesis.json
	$(THUNDER) preprocess $(E)/corpus -o $@ --force

# PEOPLE: recordings of people and their texts, from whom the embedded animator learns to hear people; assets/README.md says which.
PEOPLE := people
$(PEOPLE):
	@echo "$(PEOPLE): no such folder; wanted recordings of people, see assets/README.md, or give PEOPLE=FOLDER" >&2; exit 1

$(E)/people/synthesis.json: | $(PEOPLE) $(INSTALLED)
	$(THUNDER) articulate $(PEOPLE) $(E)/people --times 3 --seed 3 --force || test -s $@

# The corpus and the people together. Hard links: a corpus may not point out of its folder.
$(E)/everyone.h5: $(E)/corpus/synthesis.json $(E)/people/synthesis.json
	rm -rf $(E)/everyone && mkdir $(E)/everyone
	cp -rl $(E)/corpus/*/ $(E)/people/*/ $(E)/everyone
	$(THUNDER) preprocess $(E)/everyone -o $@ --force

# m2s-mouth2s-0.h5: the input, then the seed.
$(M2S_MODELS): $(E)/m2s-%.h5: $(E)/dataset.h5 assets/embedded-m2s.toml
	$(THUNDER) train-m2s $< -o $@ --input $(firstword $(subst -, ,$*)) --seed $(lastword $(subst -, ,$*)) \
	  --config assets/embedded-m2s.toml --force

# What teaches the animator, and what `evaluate` listens and reads with: the judge is of another seed than the teacher.
assets/m2s.h5: $(E)/m2s-mouth2s-0.h5
	cp $< $@

assets/judge.h5: $(E)/m2s-mouth2s-1.h5
	cp $< $@

assets/vocoder.h5: $(E)/dataset.h5 assets/m2s.h5 assets/embedded-vocoder.toml
	$(THUNDER) train-vocoder $< --m2s assets/m2s.h5 -o $@ --config assets/embedded-vocoder.toml --seed 1 --force

assets/recogniser.h5: $(E)/dataset.h5 assets/embedded-recogniser.toml
	$(THUNDER) train-recogniser $< -o $@ --config assets/embedded-recogniser.toml --seed 1 --force

# lipreader-0.h5: the seed. What guides an animator is of another seed than what `evaluate` reads lips with.
$(E)/lipreader-%.h5: $(E)/dataset.h5 assets/embedded-lipreader.toml
	$(THUNDER) train-lipreader $< -o $@ --config assets/embedded-lipreader.toml --seed $* --force

assets/lipreader.h5: $(E)/lipreader-1.h5
	cp $< $@

assets/results/lipreader.json: $(E)/dataset.h5 $(E)/lipreader-0.h5 $(E)/lipreader-1.h5
	$(THUNDER) evaluate-lipreader $^ --clips 100 -o $@ --force

# In two goes: the second has parts of the speech hidden.
$(E)/diffusion-first.h5: $(E)/everyone.h5 assets/m2s.h5 assets/embedded-diffusion.toml
	$(THUNDER) train-diffusion $< -o $@ --m2s assets/m2s.h5 --config assets/embedded-diffusion.toml --seed 1 --force

assets/diffusion.h5: $(E)/diffusion-first.h5 $(E)/everyone.h5 assets/m2s.h5 assets/embedded-diffusion-further.toml
	$(THUNDER) train-diffusion $(E)/everyone.h5 -o $@ --weights-from $< --m2s assets/m2s.h5 \
	  --config assets/embedded-diffusion-further.toml --seed 1 --force

assets/results/m2s.json: $(E)/dataset.h5 $(M2S_MODELS) assets/vocoder.h5 assets/recogniser.h5
	$(THUNDER) evaluate-m2s $< $(M2S_MODELS) --vocoder assets/vocoder.h5 --recogniser assets/recogniser.h5 \
	  --confusions assets/results/m2s_confusions.png --spectrograms 5 -o $@ --force

$(A)/encoder.h5: $(E)/dataset.h5 assets/results-thunder.toml
	$(THUNDER) train-diffusion $< -o $@ --config assets/results-thunder.toml --seed 100 --force

$(filter $(A)/frozen-%,$(ANIMATORS:%=$(A)/%.h5)): $(A)/encoder.h5

$(ANIMATORS:%=$(A)/%.h5): $(A)/%.h5: $(E)/dataset.h5 $(LISTENERS:%=$(E)/m2s-%-0.h5) assets/results-thunder.toml
	$(THUNDER) train-diffusion $< -o $@ --config assets/results-thunder.toml \
	  $(HOW_$(word 1,$(subst -, ,$*))) $(patsubst %,--m2s $(E)/m2s-%-0.h5,$(filter $(LISTENERS),$(subst -, ,$*))) \
	  $(patsubst w%,--weight-m2s %,$(filter w%,$(subst -, ,$*))) --seed $(lastword $(subst -, ,$*)) --force

# Samples are large and quickly made again: they are removed once they are measured.
.INTERMEDIATE: $(ANIMATORS:%=$(A)/samples/%.h5)
$(A)/samples/%.h5: $(A)/%.h5 $(E)/dataset.h5
	$(THUNDER) sample --split test --clips $(THUNDER_CLIPS) --dataset $(E)/dataset.h5 --n $(THUNDER_TAKES) --guidance 2 --model $< -o $@ --force

# The judge is of another seed than all who listened in training. Lips are read in results-avguidance.
THUNDER_METRICS := lve,mve,fdd,l-pcc,l-ccc,dtw,closure-rate,s-div,jitter,m2s
$(ANIMATORS:%=$(A)/metrics/%.h5): $(A)/metrics/%.h5: $(A)/samples/%.h5 $(E)/m2s-mouth2s-1.h5 assets/recogniser.h5
	$(THUNDER) evaluate $< --reference $(E)/dataset.h5 --m2s $(E)/m2s-mouth2s-1.h5 --recogniser assets/recogniser.h5 \
	  --metrics $(THUNDER_METRICS) -o $@ --force --quiet > /dev/null

assets/results/thunder.json: $(call measured,$(THUNDER_ROWS))
	$(THUNDER) compare $^ $(THUNDER_DIFFERENCES:%=--difference %) -o $@ --force

assets/results/thunder_weights.json: $(call measured,$(WEIGHT_ROWS))
	$(THUNDER) compare $^ $(patsubst %,--difference %$(,)trained-none,$(filter-out trained-none,$(WEIGHT_ROWS))) -o $@ --force

assets/results/thunder_why.json: $(call measured,$(WHY_ROWS))
	$(THUNDER) compare $^ $(foreach row,$(filter %-mouth2s,$(WHY_ROWS)),--difference $(row)$(,)$(row:mouth2s=none)) -o $@ --force

# All hear by the encoder of the embedded animator, which is in the repository: what it was made from is not asked for.
$(filter $(V)/faceformer-%,$(AV_MODELS)): $(V)/%.h5: $(E)/dataset.h5 $(GUIDE) assets/results-avguidance.toml
	$(THUNDER) train-animator faceformer $< -o $@ --config assets/results-avguidance.toml --encoder-from assets/diffusion.h5 \
	  $(GUIDED_$(word 2,$(subst -, ,$*))) --seed $(lastword $(subst -, ,$*)) --force

$(FIRST_MODELS): $(F)/codetalker-first-%.h5: $(E)/dataset.h5 assets/results-avguidance.toml
	$(THUNDER) train-animator codetalker $< -o $@ --config assets/results-avguidance.toml --encoder-from assets/diffusion.h5 \
	  --steps 1500 --autoencoder-steps 1500 --seed $* --force

$(foreach seed,$(AV_SEEDS),$(eval $(AV_HOWS:%=$(F)/codetalker-%-$(seed).h5): $(F)/codetalker-first-$(seed).h5))
$(FURTHER_MODELS): $(F)/%.h5: $(E)/dataset.h5 assets/results-further.toml
	$(THUNDER) train-animator codetalker $< -o $@ --config assets/results-further.toml \
	  --weights-from $(F)/codetalker-first-$(lastword $(subst -, ,$*)).h5 \
	  $(GUIDED_$(word 2,$(subst -, ,$*))) --seed $(lastword $(subst -, ,$*)) --force
$(foreach how,visual noprior av,$(AV_SEEDS:%=$(F)/codetalker-$(how)-%.h5)): $(GUIDE)

$(filter $(V)/thunder-av-% $(V)/thunder-both-%,$(AV_MODELS)): $(V)/thunder-%.h5: $(E)/dataset.h5 $(GUIDE) \
  $(E)/m2s-mouth2s-0.h5 assets/results-thunder.toml
	$(THUNDER) train-diffusion $< -o $@ --config assets/results-thunder.toml $(THUNDER_GUIDED_$(firstword $(subst -, ,$*))) \
	  --seed $(lastword $(subst -, ,$*)) --force

$(V)/thunder-plain-%.h5: $(A)/trained-none-%.h5
	mkdir -p $(@D) && cp $< $@

$(V)/thunder-m2s-%.h5: $(A)/trained-mouth2s-%.h5
	mkdir -p $(@D) && cp $< $@

# In a folder, the metrics of its models on the test clips, by a lip reader and a judge of other seeds than all who guided.
define judge_lips
.INTERMEDIATE: $(2:$(1)/%=$(1)/samples/%)
$(2:$(1)/%=$(1)/samples/%): $(1)/samples/%: $(1)/% $(E)/dataset.h5
	$$(THUNDER) sample --split test --clips $(3) --dataset $(E)/dataset.h5 --model $$< -o $$@ --force

$(2:$(1)/%=$(1)/metrics/%): $(1)/metrics/%: $(1)/samples/% $(E)/lipreader-1.h5 $(E)/m2s-mouth2s-1.h5 assets/recogniser.h5
	$$(THUNDER) evaluate $$< --reference $(E)/dataset.h5 --lipreader $(E)/lipreader-1.h5 --m2s $(E)/m2s-mouth2s-1.h5 \
	  --recogniser assets/recogniser.h5 -o $$@ --force --quiet > /dev/null
endef
$(eval $(call judge_lips,$(V),$(AV_MODELS),$(AV_CLIPS)))
$(eval $(call judge_lips,$(F),$(FURTHER_MODELS),$(FURTHER_CLIPS)))

assets/results/avguidance.json: $(AV_MODELS:$(V)/%=$(V)/metrics/%)
	$(THUNDER) compare $^ $(AV_DIFFERENCES:%=--difference %) -o $@ --force

assets/results/avguidance_further.json: $(FURTHER_MODELS:$(F)/%=$(F)/metrics/%)
	$(THUNDER) compare $^ $(patsubst %,--difference %,$(call differences_of,codetalker)) -o $@ --force

# Sentences that are in no other corpus, by speakers who are in none, though with voices that are.
$(E)/pairs.h5: assets/minimal_pairs.txt
	$(THUNDER) synthesize $(E)/pairs --sentences $< --subjects 8 --engine espeak,flite,festival --seed 77 --force
	$(THUNDER) preprocess $(E)/pairs -o $@ --force

assets/results/minimal_pairs.png: $(E)/pairs.h5 $(E)/lipreader-1.h5
	$(THUNDER) minimal-pairs $< --lipreader $(E)/lipreader-1.h5 --pair just,must --pair bat,mat --split train --split val \
	  --split test -o $@ --force

assets/head.h5: $(wildcard stages/heads/mannequin/*.py) | $(INSTALLED)
	$(VENV)/bin/python -m stages.heads.mannequin --output $@
