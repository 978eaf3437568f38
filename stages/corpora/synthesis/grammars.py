"""Sentences of other languages than English, from small grammars of our own in the form of `sentences.RULES`.

Each makes some hundred thousand distinct sentences. Gender is settled by grouping nouns with their article, agreement by
keeping subjects in the third person singular. Words were chosen for sounds that English lacks (German ü, ö, ch; French nasal
vowels; Spanish rr, ñ; Mandarin zh, x, ü) and for lips that close, round or meet the teeth.
"""

GRAMMARS: dict[str, dict[str, list[str]]] = {
    "de": {
        "sentence": [
            "{who} {does} {when}.", "{when} {does} {who} {place}.", "{who} {buys} {object} {place}.",
            "{who} {buys} {object}.", "Warum {buys} {who} {object}?", "Wo {buys} {who} {object}?",
            "{thing} ist {quality}, und {thing} ist {quality}.", "Bitte bring mir {object}, {name}!",
            "{who} sagt, {thing} ist {quality}.", "Wie {quality} {thing} ist!",
            "{who} {does}, aber {who} {buys} {object}.",
        ],
        "who": [
            "{name}", "{name}", "meine {woman}", "mein {man}", "unsere {woman}", "unser {man}", "jeder", "niemand",
            "er", "sie",
        ],
        "name": [
            "Peter", "Jürgen", "Monika", "Fritz", "Birgit", "Paul", "Wolfgang", "Ute", "Philipp", "Bärbel", "Moritz",
            "Vera", "Günther", "Friederike", "Bruno", "Sophie", "Joachim", "Thea",
        ],
        "woman": [
            "Mutter", "Schwester", "Freundin", "Chefin", "Ärztin", "Nachbarin", "Tochter", "Großmutter", "Lehrerin",
        ],
        "man": ["Vater", "Bruder", "Freund", "Chef", "Bäcker", "Nachbar", "Sohn", "Großvater", "Lehrer", "Förster"],
        "does": [
            "schläft", "arbeitet", "wartet", "pfeift", "träumt", "lacht", "kocht", "übt", "schwimmt", "fährt",
            "bleibt", "spielt", "hüpft", "malt", "putzt", "webt", "singt", "reist", "wohnt", "hofft",
        ],
        "buys": [
            "kauft", "braucht", "sucht", "vermisst", "bringt", "öffnet", "verkauft", "findet", "holt", "malt",
            "bewundert", "möchte", "verliert", "wünscht", "fotografiert", "empfiehlt",
        ],
        "object": [
            "den {masculine}", "einen {masculine}", "die {feminine}", "eine {feminine}", "das {neuter}",
            "ein {neuter}", "zwei {plural}", "fünf {plural}", "hübsche {plural}",
        ],
        "thing": [
            "der {masculine}", "die {feminine}", "das {neuter}", "mein {neuter}", "deine {feminine}",
            "unser {masculine}",
        ],
        "masculine": [
            "Apfel", "Baum", "Brief", "Löffel", "Schlüssel", "Stuhl", "Mantel", "Pfirsich", "Vogel", "Zug", "Wagen",
            "Knopf", "Kürbis", "Koffer", "Bus", "Spiegel",
        ],
        "feminine": [
            "Blume", "Lampe", "Brücke", "Küche", "Tür", "Uhr", "Mappe", "Flöte", "Pfeife", "Suppe", "Bühne", "Wolke",
            "Brille", "Milch", "Zeitung", "Pfanne",
        ],
        "neuter": [
            "Boot", "Buch", "Haus", "Fenster", "Brot", "Pferd", "Klavier", "Bild", "Auto", "Messer", "Schiff", "Dorf",
            "Gemüse", "Flugzeug", "Fahrrad", "Gebäude",
        ],
        "plural": [
            "Äpfel", "Bücher", "Blumen", "Vögel", "Brötchen", "Pilze", "Wölfe", "Schuhe", "Möbel", "Freunde",
            "Pfützen", "Fische",
        ],
        "quality": [
            "schön", "groß", "müde", "blau", "grün", "warm", "neu", "teuer", "berühmt", "weich", "früh", "bequem",
            "böse", "leicht", "möglich", "höflich", "furchtbar", "prima",
        ],
        "when": [
            "heute", "morgen früh", "am {weekday}", "im {month}", "um {number} Uhr", "nach dem Frühstück",
            "jeden {weekday}", "vor {number} Wochen", "manchmal", "am Abend", "zum Glück", "immer wieder",
        ],
        "weekday": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
        "month": [
            "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
            "Dezember",
        ],
        "number": ["zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"],
        "place": [
            "zu Hause", "in Hamburg", "in München", "am Fluss", "auf dem Berg", "im Büro", "in der Küche",
            "unter der Brücke", "vor dem Bahnhof", "in Köln", "im Wald", "bei {name}", "über den Wolken",
            "hinter der Bäckerei",
        ],
    },
    "es": {
        "sentence": [
            "{who} {does} {place}.", "{who} {does} {when}.", "{when}, {who} {buys} {object}.",
            "{who} {buys} {object} {place}.", "¿Por qué {buys} {who} {object}?", "¿Dónde {does} {who}?",
            "{masculine_thing} es {masculine_quality}.", "{feminine_thing} es {feminine_quality}.",
            "Por favor, {name}, trae {object}.", "¡Qué {masculine_quality} es {masculine_thing}!",
            "{who} {does}, pero {who} {buys} {object}.", "{who} dice que {feminine_thing} es {feminine_quality}.",
        ],
        "who": [
            "{name}", "{name}", "mi {woman}", "mi {man}", "nuestra {woman}", "nuestro {man}", "nadie", "ella",
            "usted",
        ],
        "name": [
            "Pablo", "María", "Pepe", "Fernanda", "Víctor", "Beatriz", "Jorge", "Paloma", "Ramón", "Begoña", "Felipe",
            "Guillermo", "Lucía", "Bruno", "Amparo", "Íñigo", "Rosa", "Julia",
        ],
        "woman": ["madre", "hermana", "amiga", "jefa", "vecina", "abuela", "profesora", "prima", "hija", "médica"],
        "man": ["padre", "hermano", "amigo", "jefe", "vecino", "abuelo", "profesor", "primo", "hijo", "médico"],
        "does": [
            "duerme", "trabaja", "espera", "baila", "sueña", "canta", "cocina", "vive", "nada", "juega", "pinta",
            "corre", "llora", "viaja", "bromea", "aprende", "sube", "habla",
        ],
        "buys": [
            "compra", "busca", "quiere", "vende", "pinta", "abre", "pierde", "encuentra", "guarda", "prefiere",
            "olvida", "mueve", "rompe", "prepara", "mira", "empuja",
        ],
        "object": [
            "el {masculine}", "un {masculine}", "la {feminine}", "una {feminine}", "dos {plural}", "muchos {plural}",
            "su {feminine}",
        ],
        "masculine_thing": [
            "el {masculine}", "mi {masculine}", "nuestro {masculine}", "este {masculine}", "tu {masculine}",
        ],
        "feminine_thing": [
            "la {feminine}", "mi {feminine}", "nuestra {feminine}", "esta {feminine}", "tu {feminine}",
        ],
        "masculine": [
            "barco", "perro", "mapa", "libro", "pájaro", "bolso", "plátano", "vaso", "queso", "piano", "abrigo",
            "pueblo", "puente", "zapato", "pan", "burro", "fuego", "coche", "pimiento",
        ],
        "feminine": [
            "mesa", "puerta", "lámpara", "flor", "playa", "botella", "montaña", "ventana", "bufanda", "guitarra",
            "paella", "familia", "cebolla", "pluma", "llave", "hoja", "iglesia", "bombilla",
        ],
        "plural": [
            "libros", "barcos", "pájaros", "zapatos", "plátanos", "vasos", "perros", "amigos", "pimientos", "años",
        ],
        "masculine_quality": [
            "bonito", "pequeño", "viejo", "nuevo", "blanco", "famoso", "rápido", "amable", "fuerte", "maravilloso",
            "rojo", "verde", "imposible", "bueno",
        ],
        "feminine_quality": [
            "bonita", "pequeña", "vieja", "nueva", "blanca", "famosa", "rápida", "amable", "fuerte", "maravillosa",
            "roja", "verde", "imposible", "buena",
        ],
        "when": [
            "hoy", "mañana por la mañana", "el {weekday}", "en {month}", "a las {number}", "después de comer",
            "cada {weekday}", "a veces", "esta noche", "por fin", "hace {number} semanas", "de vez en cuando",
        ],
        "weekday": ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
        "month": [
            "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
            "noviembre", "diciembre",
        ],
        "number": ["dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce"],
        "place": [
            "en casa", "en la playa", "en Barcelona", "en Bogotá", "bajo el puente", "en la cocina", "junto al río",
            "en la plaza", "delante del museo", "en el bosque", "en Buenos Aires", "con {name}", "fuera", "arriba",
        ],
    },
    "fr": {
        "sentence": [
            "{who} {does} {place}.", "{who} {does} {when}.", "{when}, {who} {buys} {object}.",
            "{who} {buys} {object} {place}.", "Pourquoi est-ce que {who} {buys} {object}?",
            "Est-ce que {who} {does} {place}?", "{masculine_thing} est {masculine_quality}.",
            "{feminine_thing} est {feminine_quality}.", "S'il te plaît, {name}, cherche {object}.",
            "{who} {does}, mais {who} {buys} {object}.",
        ],
        "who": [
            "{name}", "{name}", "ma {woman}", "mon {man}", "notre {woman}", "notre {man}", "personne", "elle",
            "tout le monde",
        ],
        "name": [
            "Pierre", "Béatrice", "Paul", "Véronique", "Bruno", "Fabienne", "Olivier", "Monique", "Jules", "Aurore",
            "Hugues", "Léon", "Sophie", "Benjamin", "Philippe", "Marion",
        ],
        "woman": ["mère", "sœur", "voisine", "patronne", "tante", "cousine", "fille", "grand-mère"],
        "man": [
            "père", "frère", "voisin", "patron", "oncle", "cousin", "fils", "boulanger", "facteur",
            "vieux professeur",
        ],
        "does": [
            "dort", "travaille", "rêve", "mange", "chante", "danse", "voyage", "nage", "peint", "bouge", "parle",
            "pleure", "vit", "joue", "compte", "plaisante",
        ],
        "buys": [
            "trouve", "cherche", "veut", "vend", "peint", "ouvre", "perd", "prépare", "garde", "préfère", "oublie",
            "pousse", "montre", "prend", "remplit",
        ],
        "object": [
            "le {masculine}", "un {masculine}", "la {feminine}", "une {feminine}", "deux {plural}",
            "beaucoup de {plural}",
        ],
        "masculine_thing": [
            "le {masculine}", "mon {masculine}", "notre {masculine}", "ce {masculine}", "ton {masculine}",
        ],
        "feminine_thing": ["la {feminine}", "ma {feminine}", "notre {feminine}", "cette {feminine}", "ta {feminine}"],
        "masculine": [
            "bateau", "livre", "pain", "pont", "jardin", "manteau", "beurre", "bouton", "vin", "chapeau", "fauteuil",
            "feu", "poisson", "parfum", "mur", "tableau", "ballon",
        ],
        "feminine": [
            "pomme", "lampe", "porte", "fleur", "maison", "montre", "voiture", "boîte", "feuille", "pluie",
            "bouteille", "chambre", "montagne", "plume", "soupe", "vue",
        ],
        "plural": [
            "livres", "pommes", "bateaux", "champignons", "boutons", "fleurs", "poissons", "bonbons", "moutons",
        ],
        "masculine_quality": [
            "beau", "petit", "vieux", "nouveau", "blanc", "fameux", "doux", "fort", "bleu", "vert", "impossible",
            "bon", "brun",
        ],
        "feminine_quality": [
            "belle", "petite", "vieille", "nouvelle", "blanche", "fameuse", "douce", "forte", "bleue", "verte",
            "impossible", "bonne",
        ],
        "when": [
            "aujourd'hui", "demain matin", "le {weekday}", "en {month}", "à {number} heures", "après le repas",
            "chaque {weekday}", "parfois", "ce soir", "enfin", "depuis {number} semaines",
        ],
        "weekday": ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
        "month": [
            "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
            "novembre", "décembre",
        ],
        "number": ["deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze"],
        "place": [
            "à la maison", "à Lyon", "sous le pont", "dans la cuisine", "au bord de l'eau", "devant le musée",
            "dans la forêt", "chez {name}", "à Bordeaux", "au bureau", "en Provence", "sur la montagne",
        ],
    },
    "it": {
        "sentence": [
            "{who} {does} {place}.", "{who} {does} {when}.", "{when}, {who} {buys} {object}.",
            "{who} {buys} {object} {place}.", "Perché {who} {buys} {object}?", "Dove {does} {who}?",
            "{masculine_thing} è {masculine_quality}.", "{feminine_thing} è {feminine_quality}.",
            "Per favore, {name}, porta {object}.", "{who} {does}, ma {who} {buys} {object}.",
        ],
        "who": [
            "{name}", "{name}", "mia {woman}", "mio {man}", "la nostra {woman}", "il nostro {man}", "nessuno", "lei",
            "lui",
        ],
        "name": [
            "Paolo", "Chiara", "Bruno", "Beatrice", "Giuseppe", "Fabiola", "Vittorio", "Pamela", "Massimo", "Ginevra",
            "Umberto", "Sofia", "Guglielmo", "Bianca", "Filippo", "Emma",
        ],
        "woman": ["madre", "sorella", "amica", "vicina", "nonna", "cugina", "figlia", "maestra"],
        "man": ["padre", "fratello", "amico", "vicino", "nonno", "cugino", "figlio", "maestro"],
        "does": [
            "dorme", "lavora", "aspetta", "balla", "sogna", "canta", "cucina", "vive", "nuota", "gioca", "dipinge",
            "parla", "piange", "viaggia", "scherza", "impara",
        ],
        "buys": [
            "compra", "cerca", "vuole", "vende", "dipinge", "apre", "perde", "trova", "guarda", "preferisce",
            "dimentica", "muove", "rompe", "prepara", "beve",
        ],
        "object": [
            "il {masculine}", "un {masculine}", "la {feminine}", "una {feminine}", "due {plural}", "molti {plural}",
        ],
        "masculine_thing": ["il {masculine}", "il mio {masculine}", "il nostro {masculine}", "questo {masculine}"],
        "feminine_thing": ["la {feminine}", "la mia {feminine}", "la nostra {feminine}", "questa {feminine}"],
        "masculine": [
            "pane", "libro", "cane", "ponte", "vino", "bicchiere", "fiume", "pesce", "cappello", "bosco", "formaggio",
            "fuoco", "gatto", "pomodoro", "violino", "bottone",
        ],
        "feminine": [
            "porta", "lampada", "barca", "bottiglia", "montagna", "finestra", "chitarra", "famiglia", "cipolla",
            "penna", "chiave", "foglia", "chiesa", "pizza", "piuma", "spiaggia",
        ],
        "plural": ["libri", "pomodori", "cani", "gatti", "bottoni", "pesci", "funghi", "fiori", "cappelli"],
        "masculine_quality": [
            "bello", "piccolo", "vecchio", "nuovo", "bianco", "famoso", "veloce", "gentile", "forte", "meraviglioso",
            "buono",
        ],
        "feminine_quality": [
            "bella", "piccola", "vecchia", "nuova", "bianca", "famosa", "veloce", "gentile", "forte", "meravigliosa",
            "buona",
        ],
        "when": [
            "oggi", "domani mattina", "ogni {weekday}", "in {month}", "alle {number}", "dopo pranzo", "a volte",
            "questa sera", "finalmente",
        ],
        "weekday": ["sabato", "lunedì", "martedì", "mercoledì", "giovedì", "venerdì"],
        "month": [
            "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre",
            "novembre", "dicembre",
        ],
        "number": ["due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "undici"],
        "place": [
            "a casa", "a Firenze", "sotto il ponte", "in cucina", "vicino al fiume", "davanti al museo", "nel bosco",
            "con {name}", "a Bologna", "al mare", "in ufficio",
        ],
    },
    # Mandarin: a space parts the words, so that they can be counted, and is left out of what is said and written.
    "zh": {
        "sentence": [
            "{who} {when} {does}。", "{when} {who} {place} {does}。", "{who} {place} {did} {object}。",
            "{when} {who} {did} {object}。", "{who} 为什么 {likes} {object}？", "{who} 什么时候 {buys} {object}？",
            "{thing} 很 {quality}。", "{thing} 比 {thing} {quality}。", "{who} 说 {thing} 不 {quality}。",
            "请 你 帮 {who} {buys} {object}。", "{thing} 真 {quality}！",
            "{who} {does}，可是 {who} {did} {object}。", "你 {likes} {object} 吗？",
            "{when} 我们 跟 {name} 一起 {does}。", "{who} 会 {does}，也 会 {does}。",
        ],
        "who": [
            "{name}", "{name}", "{relative}", "我 {relative}", "你 的 {person}", "我们 的 {person}",
            "那 个 {person}", "他", "我", "她 {relative}",
        ],
        "name": [
            "王明", "李红", "张伟", "小芳", "小玉", "阿宝", "陈波", "吴女士", "周先生", "孙小姐", "刘老师",
            "马医生", "冯飞", "徐军", "朱迪", "彭博士", "胡文", "方敏", "于娜", "裴云",
        ],
        "relative": ["爸爸", "妈妈", "哥哥", "姐姐", "弟弟", "妹妹", "爷爷", "奶奶", "叔叔", "婆婆", "女儿", "舅舅"],
        "person": [
            "朋友", "老师", "医生", "司机", "服务员", "邻居", "画家", "护士", "同学", "木匠", "翻译", "裁缝",
            "律师", "主任", "模特", "渔夫",
        ],
        "does": [
            "跑步", "唱歌", "跳舞", "睡觉", "做饭", "喝茶", "看书", "写字", "画画", "上班", "下棋", "吹笛子",
            "骑自行车", "喝咖啡", "放风筝", "打排球", "踢足球", "听音乐", "洗衣服", "包饺子", "逛公园", "拍照片",
            "学普通话", "去图书馆", "坐飞机", "爬山", "买菜", "发脾气", "吃月饼", "扫雪",
        ],
        "buys": ["买", "卖", "画", "拿", "找", "要", "带", "选", "搬", "抱"],
        "did": [
            "买了", "卖了", "画了", "找到了", "丢了", "看见了", "带来了", "准备了", "发现了", "忘了", "修好了",
            "分了", "摸了", "捧着",
        ],
        "likes": ["喜欢", "想要", "需要", "想买", "害怕", "不要", "保护", "佩服"],
        "object": [
            "{count} 本 {book}", "{count} 把 {handle}", "{count} 个 {piece}", "{count} 条 {strip}",
            "{count} 张 {sheet}", "{count} 只 {animal}", "{count} 件 {garment}", "{count} 朵 {flower}",
            "{who} 的 {piece}",
        ],
        "thing": [
            "这 本 {book}", "那 把 {handle}", "我 的 {piece}", "{relative} 的 {strip}", "那 张 {sheet}",
            "这 只 {animal}", "{name} 的 {garment}", "那 朵 {flower}",
        ],
        "count": ["一", "两", "三", "四", "五", "六", "七", "八", "九", "十", "几", "二十"],
        "book": ["书", "小说", "词典", "护照", "日记", "画册", "菜谱", "地图册"],
        "handle": ["雨伞", "椅子", "钥匙", "勺子", "剪刀", "斧头", "梳子", "吉他"],
        "piece": [
            "苹果", "杯子", "面包", "盘子", "橘子", "书包", "箱子", "西瓜", "瓶子", "枕头", "皮球", "包裹", "蜜桃",
            "风扇", "沙发", "灯泡",
        ],
        "strip": ["裙子", "鱼", "毛巾", "围巾", "裤子", "小船", "马路", "河", "尾巴", "被子"],
        "sheet": ["报纸", "照片", "火车票", "桌子", "地图", "白纸", "唱片", "邮票", "木板", "画"],
        "animal": ["猫", "狗", "鸟", "兔子", "蝴蝶", "母鸡", "老虎", "蜜蜂", "企鹅", "蚂蚁", "绵羊"],
        "garment": ["毛衣", "衬衫", "外套", "礼物", "睡衣", "旗袍", "雨衣", "行李"],
        "flower": ["玫瑰花", "菊花", "云", "荷花", "梅花", "蘑菇"],
        "quality": [
            "漂亮", "方便", "贵", "大", "小", "白", "红", "绿", "普通", "新", "旧", "可爱", "特别", "有名", "奇怪",
            "破", "轻", "厚", "美", "软",
        ],
        "when": [
            "今天", "明天 早上", "昨天 晚上", "星期{weekday}", "周末", "春天", "夏天", "秋天", "冬天",
            "下雨 的 时候", "吃饭 以后", "{count} 点 半", "去年", "每天 下午", "有时候", "{month}月",
        ],
        "weekday": ["一", "二", "三", "四", "五", "六", "日"],
        "month": ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"],
        "place": [
            "在 北京", "在 上海", "在 家里", "在 学校", "在 图书馆", "在 厨房 里", "在 公园 里", "在 河边",
            "在 桥上", "在 飞机场", "在 商店 里", "在 山坡 上", "在 火车 上", "在 医院 门口", "在 广州",
            "在 西湖 边", "在 武汉", "在 瀑布 旁边",
        ],
    },
}  # fmt: skip
