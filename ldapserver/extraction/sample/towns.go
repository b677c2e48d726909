package sample

// towns with a postal code of theirs, large and small ones of every part of the country. The département follows from the code.
const towns = `75001 Paris;75004 Paris;75006 Paris;75010 Paris;75011 Paris;75012 Paris;75013 Paris;75014 Paris;75015 Paris;75018 Paris;75020 Paris
13001 Marseille;13005 Marseille;13008 Marseille;13012 Marseille;69001 Lyon;69003 Lyon;69004 Lyon;69008 Lyon;31000 Toulouse;31300 Toulouse;06000 Nice
06100 Nice;44000 Nantes;44200 Nantes;34000 Montpellier;34090 Montpellier;67000 Strasbourg;67100 Strasbourg;33000 Bordeaux;33200 Bordeaux;59000 Lille
59800 Lille;35000 Rennes;35200 Rennes;51100 Reims;42000 Saint-Étienne;83000 Toulon;76600 Le Havre;38000 Grenoble;21000 Dijon;49000 Angers;30000 Nîmes
69100 Villeurbanne;63000 Clermont-Ferrand;72000 Le Mans;13100 Aix-en-Provence;29200 Brest;37000 Tours;80000 Amiens;87000 Limoges;74000 Annecy
66000 Perpignan;92100 Boulogne-Billancourt;57000 Metz;25000 Besançon;45000 Orléans;93200 Saint-Denis;95100 Argenteuil;76000 Rouen;93100 Montreuil
68100 Mulhouse;14000 Caen;54000 Nancy;59200 Tourcoing;59100 Roubaix;92000 Nanterre;94400 Vitry-sur-Seine;84000 Avignon;94000 Créteil;59140 Dunkerque
86000 Poitiers;92600 Asnières-sur-Seine;92400 Courbevoie;78000 Versailles;92700 Colombes;93300 Aubervilliers;93600 Aulnay-sous-Bois;94100 Saint-Maur-des-Fossés
64000 Pau;17000 La Rochelle;06400 Cannes;06600 Antibes;62100 Calais;06130 Grasse;34500 Béziers;68000 Colmar;18000 Bourges;26000 Valence;29000 Quimper
56000 Vannes;56100 Lorient;22000 Saint-Brieuc;10000 Troyes;79000 Niort;02100 Saint-Quentin;59300 Valenciennes;73000 Chambéry;49300 Cholet;85000 La Roche-sur-Yon
82000 Montauban;81000 Albi;81100 Castres;11000 Carcassonne;11100 Narbonne;65000 Tarbes;47000 Agen;24000 Périgueux;19100 Brive-la-Gaillarde;16000 Angoulême
58000 Nevers;89000 Auxerre;71100 Chalon-sur-Saône;71000 Mâcon;39000 Lons-le-Saunier;70000 Vesoul;90000 Belfort;88000 Épinal;55000 Bar-le-Duc;52000 Chaumont
08000 Charleville-Mézières;02000 Laon;60000 Beauvais;60200 Compiègne;27000 Évreux;28000 Chartres;41000 Blois;36000 Châteauroux;23000 Guéret;15000 Aurillac
43000 Le Puy-en-Velay;48000 Mende;12000 Rodez;46000 Cahors;32000 Auch;09000 Foix;40000 Mont-de-Marsan;64100 Bayonne;64200 Biarritz;64400 Oloron-Sainte-Marie
05000 Gap;04000 Digne-les-Bains;04100 Manosque;83300 Draguignan;83400 Hyères;13200 Arles;13300 Salon-de-Provence;13500 Martigues;84100 Orange;84200 Carpentras
07000 Privas;07100 Annonay;07200 Aubenas;26200 Montélimar;38200 Vienne;38300 Bourgoin-Jallieu;38500 Voiron;01000 Bourg-en-Bresse;01100 Oyonnax;74100 Annemasse
74200 Thonon-les-Bains;73200 Albertville;42300 Roanne;69400 Villefranche-sur-Saône;03000 Moulins;03100 Montluçon;03200 Vichy;53000 Laval;61000 Alençon
50000 Saint-Lô;50100 Cherbourg-en-Cotentin;50300 Avranches;14400 Bayeux;14100 Lisieux;76200 Dieppe;80100 Abbeville;62000 Arras;62200 Boulogne-sur-Mer
62300 Lens;62400 Béthune;59400 Cambrai;59500 Douai;59600 Maubeuge;77000 Melun;77100 Meaux;77300 Fontainebleau;91000 Évry-Courcouronnes;91150 Étampes
78100 Saint-Germain-en-Laye;78200 Mantes-la-Jolie;95000 Cergy;95300 Pontoise;22100 Dinan;22200 Guingamp;22300 Lannion;29600 Morlaix;29900 Concarneau
35400 Saint-Malo;35300 Fougères;35500 Vitré;56300 Pontivy;44600 Saint-Nazaire;85100 Les Sables-d'Olonne;85200 Fontenay-le-Comte;17100 Saintes;17200 Royan
17300 Rochefort;33120 Arcachon;33500 Libourne;33210 Langon;40100 Dax;47200 Marmande;24100 Bergerac;24200 Sarlat-la-Canéda;31800 Saint-Gaudens;31600 Muret
09100 Pamiers;12100 Millau;12200 Villefranche-de-Rouergue;34200 Sète;34300 Agde;30100 Alès;30200 Bagnols-sur-Cèze;66100 Perpignan;66400 Céret;54300 Lunéville
54400 Longwy;57100 Thionville;57200 Sarreguemines;57400 Sarrebourg;67500 Haguenau;67600 Sélestat;67700 Saverne;68300 Saint-Louis;88100 Saint-Dié-des-Vosges
10400 Nogent-sur-Seine;51000 Châlons-en-Champagne;51200 Épernay;21200 Beaune;25200 Montbéliard;25300 Pontarlier;39100 Dole;71200 Le Creusot;89100 Sens
45200 Montargis;45500 Gien;41100 Vendôme;37500 Chinon;49400 Saumur;72200 La Flèche;28200 Châteaudun;28100 Dreux;27200 Vernon;02200 Soissons;08200 Sedan
20000 Ajaccio;20100 Sartène;20137 Porto-Vecchio;20200 Bastia;20250 Corte;20260 Calvi;97100 Basse-Terre;97110 Pointe-à-Pitre;97200 Fort-de-France
97300 Cayenne;97320 Saint-Laurent-du-Maroni;97400 Saint-Denis;97410 Saint-Pierre;97460 Saint-Paul;97600 Mamoudzou`

// streets: the type of a street as the post abbreviates it, and a name.
const streets = `R DE LA REPUBLIQUE;R VICTOR HUGO;AV JEAN JAURES;R PASTEUR;AV DU GENERAL DE GAULLE;R JULES FERRY;PL DE LA MAIRIE;BD GAMBETTA;R DE LA GARE
R DES LILAS;CHE DES VIGNES;R DU STADE;AV FOCH;R EMILE ZOLA;R DU MOULIN;PL DE L'EGLISE;R DES ECOLES;BD VOLTAIRE;R JEAN MOULIN;AV DE LA LIBERATION
R DU 8 MAI 1945;R DU 11 NOVEMBRE;R DES TILLEULS;IMP DES ACACIAS;ALL DES CHENES;QU DE LA LOIRE;RTE DE PARIS;RTE DE LYON;CRS DE VERDUN;R CARNOT;R SAINT-MARTIN
R NOTRE-DAME;R DES JARDINS;AV DES ALPES;R DE BRETAGNE;R MARIE CURIE;AV ARISTIDE BRIAND;R ANATOLE FRANCE;BD DE STRASBOURG;R DU FAUBOURG SAINT-ANTOINE
R AMBROISE PARE;R CLAUDE BERNARD;AV RENE LAENNEC;R SIMONE VEIL;R ALBERT CAMUS;CHE DE LA FONTAINE;R DU CHATEAU;R DU PONT VIEUX;R HAUTE;R BASSE;PL DU MARCHE
R DES FRERES LUMIERE;AV DE L'EUROPE;R LEON BLUM;R HENRI BARBUSSE;RTE DE LA MER;CHE DU BOIS;R DE L'HOPITAL;AV DES PEUPLIERS;R DES ROSIERS;BD DE LA MARNE`

// saints and landscapes: what clinics and homes are called.
const houses = `du Parc;Saint-Jean;Sainte-Marie;des Cèdres;Saint-Joseph;du Val;de la Roseraie;Saint-Vincent;des Tilleuls;du Lac;Notre-Dame;Pasteur;des Oliviers;Belledonne
de l'Estuaire;du Sacré-Cœur;les Glycines;les Hortensias;Sainte-Anne;Saint-Luc;de la Côte d'Émeraude;du Mont-Blanc;de la Source;les Ormeaux;l'Ermitage;du Ter
Saint-Roch;des Flandres;de Provence;de l'Orangerie;les Magnolias;Jeanne d'Arc;Ambroise Paré;Claude Bernard;la Sagesse;Belle Rive;Bon Secours;la Châtaigneraie`
